import { describe, expect, test } from "vitest";
import type { ResourceObject } from "../meta.ts";
import type { Column } from "../kind.ts";
import { kindOf, kinds } from "../kinds.ts";

const now = Date.parse("2026-01-31T12:00:00Z");

function columnsOf(group: string, kind: string): readonly Column[] {
  return kindOf(group, kind)?.columns ?? [];
}

function resource(kind: string, body: object): ResourceObject {
  const metadata = {
    name: "sample",
    uid: "u",
    resourceVersion: "1",
    generation: 1,
    creationTimestamp: "2026-01-31T11:00:00Z",
  };
  return { apiVersion: "v1", kind, metadata, ...body };
}

/** The cells of an object by column, without its age. */
function cells(group: string, kind: string, body: object): Readonly<Record<string, unknown>> {
  const object = resource(kind, body);
  const shown = columnsOf(group, kind).filter(({ type }) => type !== "date");
  return Object.fromEntries(shown.map(({ name, cell }) => [name, cell(object, now)]));
}

describe("names of columns", () => {
  test.each([
    ["", "Pod", "Ready Status Restarts Age", "IP Node Nominated Node Readiness Gates"],
    ["", "Service", "Type Cluster-IP External-IP Port(s) Age", "Selector"],
    ["", "Namespace", "Status Age", ""],
    ["", "Node", "Status Roles Age Version", "Internal-IP External-IP OS-Image Kernel-Version Container-Runtime"],
    ["", "ConfigMap", "Data Age", ""],
    ["", "Secret", "Type Data Age", ""],
    ["", "ServiceAccount", "Secrets Age", ""],
    ["", "Event", "Last Seen Type Reason Object Message", "Subobject Source First Seen Count Name"],
    ["apps", "Deployment", "Ready Up-to-date Available Age", "Containers Images Selector"],
    ["apps", "ReplicaSet", "Desired Current Ready Age", "Containers Images Selector"],
    ["discovery.k8s.io", "EndpointSlice", "AddressType Ports Endpoints Age", ""],
    ["coordination.k8s.io", "Lease", "Holder Age", ""],
    ["networking.istio.io", "VirtualService", "Gateways Hosts Age", "Held"],
    ["networking.istio.io", "DestinationRule", "Host Age", "Held"],
    ["networking.istio.io", "Gateway", "Age", "Certificates until Held"],
    ["networking.istio.io", "ServiceEntry", "Hosts Location Resolution Age", "Held"],
    ["networking.istio.io", "Sidecar", "Age", "Held"],
    ["networking.istio.io", "WorkloadEntry", "Age Address", "Held"],
    ["networking.istio.io", "WorkloadGroup", "Age", "Held"],
    ["mesh.weft.dev", "Mesh", "Trust Domain Outbound Mode State Ready Age", ""],
    ["mesh.weft.dev", "Cluster", "Network Region Version Nodes Ready Age", ""],
  ])("%s/%s", (group, kind, narrow, wide) => {
    const columns = columnsOf(group, kind);
    expect(
      columns
        .filter((one) => !one.wide)
        .map(({ name }) => name)
        .join(" "),
    ).toBe(narrow);
    expect(
      columns
        .filter((one) => one.wide)
        .map(({ name }) => name)
        .join(" "),
    ).toBe(wide);
    for (const { description } of columns) expect(description).toMatch(/\.$/);
  });

  test("are known of every kind", () => {
    for (const kind of kinds) expect(kind.columns.length).toBeGreaterThan(0);
  });
});

const running = (name: string, more: object = {}): object => ({
  name,
  ready: true,
  restartCount: 0,
  image: "a",
  imageID: "",
  state: { running: { startedAt: "2026-01-31T11:00:00Z" } },
  ...more,
});
const spec = {
  containers: [
    { name: "a", image: "a" },
    { name: "b", image: "b" },
  ],
};
const ended = (reason: string, exitCode: number): object => ({ terminated: { exitCode, reason } });

/** Ready, status and restarts of a Pod. */
function podCells(status: object, more: object = {}, metadata: object = {}): readonly unknown[] {
  const object = resource("Pod", { spec: { ...spec, ...more }, status });
  const columns = columnsOf("", "Pod").slice(0, 3);
  return columns.map(({ cell }) => cell({ ...object, metadata: { ...object.metadata, ...metadata } }, now));
}

describe("Pods", () => {
  test.each([
    ["waiting to be placed", {}, ["0/2", "Unknown", "0"]],
    ["pending", { phase: "Pending" }, ["0/2", "Pending", "0"]],
    [
      "gated",
      { phase: "Pending", conditions: [{ type: "PodScheduled", status: "False", reason: "SchedulingGated" }] },
      ["0/2", "SchedulingGated", "0"],
    ],
    ["running", { phase: "Running", containerStatuses: [running("a"), running("b")] }, ["2/2", "Running", "0"]],
    [
      "not ready",
      { phase: "Running", containerStatuses: [running("a"), running("b", { ready: false })] },
      ["1/2", "Running", "0"],
    ],
    [
      "crashing",
      {
        phase: "Running",
        containerStatuses: [
          running("a", {
            ready: false,
            restartCount: 3,
            state: { waiting: { reason: "CrashLoopBackOff" } },
            lastState: { terminated: { exitCode: 1, finishedAt: "2026-01-31T11:58:30Z" } },
          }),
          running("b"),
        ],
      },
      ["1/2", "CrashLoopBackOff", "3 (90s ago)"],
    ],
    [
      "done",
      {
        phase: "Succeeded",
        containerStatuses: [
          running("a", { ready: false, state: ended("Completed", 0) }),
          running("b", { ready: false, state: ended("Completed", 0) }),
        ],
      },
      ["0/2", "Completed", "0"],
    ],
    [
      "half done",
      {
        phase: "Running",
        conditions: [{ type: "Ready", status: "False" }],
        containerStatuses: [running("a", { ready: false, state: ended("Completed", 0) }), running("b")],
      },
      ["1/2", "NotReady", "0"],
    ],
    [
      "failed without a reason",
      {
        phase: "Failed",
        containerStatuses: [
          running("a", { ready: false, state: { terminated: { exitCode: 3 } } }),
          running("b", { ready: false, state: { terminated: { exitCode: 0, signal: 9 } } }),
        ],
      },
      ["0/2", "ExitCode:3", "0"],
    ],
    ["evicted", { phase: "Failed", reason: "Evicted" }, ["0/2", "Evicted", "0"]],
  ])("%s", (_, status, expected) => {
    expect(podCells(status)).toEqual(expected);
  });

  test("init containers come first", () => {
    const initContainers = [
      { name: "i", image: "i" },
      { name: "s", image: "s", restartPolicy: "Always" },
    ];
    const init = (...initContainerStatuses: object[]): readonly unknown[] =>
      podCells({ phase: "Pending", initContainerStatuses }, { initContainers });
    expect(
      init(
        running("i", { ready: false }),
        running("s", { ready: false, state: { waiting: { reason: "PodInitializing" } } }),
      ),
    ).toEqual(["0/3", "Init:0/2", "0"]);
    expect(
      init(running("i", { state: ended("Completed", 0) }), running("s", { started: false, ready: false })),
    ).toEqual(["0/3", "Init:1/2", "0"]);
    expect(init(running("i", { state: ended("Error", 1), restartCount: 2 }))).toEqual(["0/3", "Init:Error", "2"]);
    expect(init(running("i", { state: { waiting: { reason: "ErrImagePull" } } }))).toEqual([
      "0/3",
      "Init:ErrImagePull",
      "0",
    ]);
    const status = {
      phase: "Running",
      initContainerStatuses: [
        running("i", { state: ended("Completed", 0) }),
        running("s", { started: true, restartCount: 1 }),
      ],
      containerStatuses: [running("a"), running("b", { restartCount: 1 })],
    };
    expect(podCells(status, { initContainers })).toEqual(["3/3", "Running", "2"]);
  });

  test("a deleted Pod says so until it has ended", () => {
    const deleted = { deletionTimestamp: "2026-01-31T12:00:00Z" };
    expect(podCells({ phase: "Running", containerStatuses: [running("a"), running("b")] }, {}, deleted)[1]).toBe(
      "Terminating",
    );
    expect(podCells({ phase: "Succeeded" }, {}, deleted)[1]).toBe("Succeeded");
    expect(podCells({ phase: "Running", reason: "NodeLost" }, {}, deleted)[1]).toBe("Unknown");
  });

  test("the wide columns", () => {
    const status = { podIPs: [{ ip: "10.10.0.5" }], conditions: [{ type: "lb", status: "True" }] };
    const gates = { readinessGates: [{ conditionType: "lb" }, { conditionType: "dns" }] };
    expect(cells("", "Pod", { spec: { ...spec, ...gates, nodeName: "n1" }, status })).toMatchObject({
      IP: "10.10.0.5",
      Node: "n1",
      "Readiness Gates": "1/2",
    });
    expect(cells("", "Pod", { spec })).toMatchObject({ IP: undefined, Node: undefined, "Readiness Gates": undefined });
  });
});

function serviceCells(spec: object, status: object = {}): Readonly<Record<string, unknown>> {
  return cells("", "Service", { spec: { type: "ClusterIP", ...spec }, status });
}

describe("other kinds", () => {
  test("Services", () => {
    const ports = [
      { port: 80, protocol: "TCP" },
      { port: 443, protocol: "TCP", nodePort: 30_443 },
    ];
    expect(serviceCells({ ports, clusterIP: "10.110.0.1", selector: { b: "2", a: "1" } })).toEqual({
      Type: "ClusterIP",
      "Cluster-IP": "10.110.0.1",
      "External-IP": "<none>",
      "Port(s)": "80/TCP,443:30443/TCP",
      Selector: "a=1,b=2",
    });
    expect(serviceCells({ clusterIP: "None" })).toMatchObject({
      "Cluster-IP": "None",
      "Port(s)": "<none>",
      Selector: "<none>",
    });
    expect(serviceCells({ type: "LoadBalancer" })["External-IP"]).toBe("<pending>");
    const ingress = { loadBalancer: { ingress: [{ ip: "1.2.3.4" }, { hostname: "lb" }] } };
    expect(serviceCells({ type: "LoadBalancer", externalIPs: ["5.6.7.8"] }, ingress)["External-IP"]).toBe(
      "1.2.3.4,lb,5.6.7.8",
    );
    expect(serviceCells({ type: "ExternalName", externalName: "a.b" })).toMatchObject({
      "Cluster-IP": "<none>",
      "External-IP": "a.b",
    });
  });

  test("Deployments and ReplicaSets", () => {
    const template = { spec };
    const selector = {
      matchLabels: { app: "a" },
      matchExpressions: [
        { key: "x", operator: "NotIn", values: ["2", "1"] },
        { key: "y", operator: "Exists" },
        { key: "z", operator: "DoesNotExist" },
      ],
    };
    const body = {
      spec: { replicas: 3, template, selector },
      status: { readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1, replicas: 3 },
    };
    const wide = { Containers: "a,b", Images: "a,b", Selector: "app=a,x notin (1,2),y,!z" };
    expect(cells("apps", "Deployment", body)).toEqual({ Ready: "1/3", "Up-to-date": 2, Available: 1, ...wide });
    expect(cells("apps", "ReplicaSet", body)).toEqual({ Desired: 3, Current: 3, Ready: 1, ...wide });
    expect(kindOf("apps", "Deployment")?.scale?.selector(resource("Deployment", body))).toBe(
      "app=a,x notin (1,2),y,!z",
    );
    expect(cells("apps", "ReplicaSet", { spec: { replicas: 1, template, selector: {} } })).toMatchObject({
      Current: 0,
      Selector: "<none>",
    });
  });

  test("nodes", () => {
    const labels = {
      "node-role.kubernetes.io/worker": "",
      "kubernetes.io/role": "edge",
      "node-role.kubernetes.io/control-plane": "",
    };
    const object = {
      metadata: { ...resource("Node", {}).metadata, labels },
      spec: { unschedulable: true },
      status: {
        conditions: [{ type: "Ready", status: "True" }],
        addresses: [{ type: "InternalIP", address: "10.0.0.1" }],
        nodeInfo: {
          kubeletVersion: "v1",
          osImage: "Debian",
          kernelVersion: "6.1",
          containerRuntimeVersion: "weft://1",
        },
      },
    };
    expect(cells("", "Node", object)).toEqual({
      Status: "Ready,SchedulingDisabled",
      Roles: "control-plane,edge,worker",
      Version: "v1",
      "Internal-IP": "10.0.0.1",
      "External-IP": undefined,
      "OS-Image": "Debian",
      "Kernel-Version": "6.1",
      "Container-Runtime": "weft://1",
    });
    expect(cells("", "Node", { spec: {} })).toMatchObject({ Status: "Unknown", Roles: undefined });
    expect(
      cells("", "Node", { spec: {}, status: { conditions: [{ type: "Ready", status: "Unknown" }] } })["Status"],
    ).toBe("NotReady");
  });

  test("events", () => {
    const involvedObject = { kind: "Pod", name: "a", fieldPath: "spec.containers{web}" };
    const event = {
      involvedObject,
      type: "Warning",
      reason: "BackOff",
      message: "again\n",
      source: { component: "agent", host: "n1" },
    };
    const times = { firstTimestamp: "2026-01-31T11:00:00Z", lastTimestamp: "2026-01-31T11:59:00Z", count: 4 };
    expect(cells("", "Event", { ...event, ...times })).toEqual({
      "Last Seen": "60s",
      Type: "Warning",
      Reason: "BackOff",
      Object: "pod/a",
      Subobject: "spec.containers{web}",
      Source: "agent, n1",
      Message: "again",
      "First Seen": "60m",
      Count: "4",
      Name: "sample",
    });
    const series = {
      eventTime: "2026-01-31T11:00:00.000000Z",
      series: { count: 7, lastObservedTime: "2026-01-31T11:58:00Z" },
    };
    expect(cells("", "Event", { involvedObject, ...series })["Last Seen"]).toBe("2m (x7 over 60m)");
    expect(cells("", "Event", { involvedObject })["Last Seen"]).toBe("<unknown>");
  });

  test("endpoint slices tell the first three", () => {
    const endpoints = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map((address) => ({ addresses: [address] }));
    const slice = {
      addressType: "IPv4",
      endpoints,
      ports: [
        { name: "http", port: 80, protocol: "TCP" },
        { name: "any", protocol: "UDP" },
      ],
    };
    expect(cells("discovery.k8s.io", "EndpointSlice", slice)).toEqual({
      AddressType: "IPv4",
      Ports: "80,any/UDP",
      Endpoints: "10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...",
    });
    expect(cells("discovery.k8s.io", "EndpointSlice", { addressType: "IPv4", endpoints: [] })).toMatchObject({
      Ports: "<unset>",
      Endpoints: "<unset>",
    });
  });

  test("who holds an object of Istio's is told by cluster", () => {
    const held = [
      { cluster: "east", proxies: 3, holding: 3 },
      { cluster: "", proxies: 2, holding: 1 },
    ];
    expect(cells("networking.istio.io", "Sidecar", { status: { held } })["Held"]).toBe("east 3/3, - 1/2");
    expect(cells("networking.istio.io", "Sidecar", {})["Held"]).toBe("");
  });

  test("lists of Istio's kinds are printed as JSON, and what is absent as nothing", () => {
    expect(cells("networking.istio.io", "VirtualService", { spec: { hosts: ["a", "b"] } })).toMatchObject({
      Gateways: "",
      Hosts: '["a","b"]',
    });
  });

  test("Weft's kinds tell whether they are ready", () => {
    const conditions = [{ type: "Ready", status: "True", reason: "Connected", message: "", lastTransitionTime: "" }];
    expect(
      cells("mesh.weft.dev", "Cluster", { spec: { network: "n" }, status: { conditions, nodes: 2, version: "v1.36" } }),
    ).toEqual({
      Network: "n",
      Region: "",
      Version: "v1.36",
      Nodes: 2,
      Ready: "True",
    });
    expect(cells("mesh.weft.dev", "Mesh", { spec: { trustDomain: "td" } })).toMatchObject({
      "Trust Domain": "td",
      Ready: "Unknown",
    });
  });
});
