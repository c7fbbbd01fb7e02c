import { describe, expect, it } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { kubeletRules } from "./container-runner.ts";
import { proxyCondition } from "#api/kubernetes/pod-status.ts";
import { missingLabels, podStatus, qosClass } from "./pod-status.ts";
import type { ContainerView, PodView } from "./pod-status.ts";
import { newContainer } from "./records.ts";
import { containerOf, podOf } from "./testing/pods.ts";

const now = Date.parse("2026-01-01T12:00:00Z");
const identity = { pid: 1, startTicks: 1, boot: "b" };
const running = { kind: "running", identity, startedAt: now - 60_000 } as const;

function view(more: Partial<ContainerView> = {}): ContainerView {
  const record = { ...newContainer(), attempt: 0, started: true, ready: true };
  return { container: containerOf(), record, state: running, done: false, ...more };
}

function viewOf(more: Partial<PodView> = {}): PodView {
  return {
    pod: podOf(),
    address: "10.10.0.5",
    hostIp: "10.10.0.1",
    startTime: now - 61_000,
    init: [],
    containers: [view()],
    proxyReady: undefined,
    now,
    ...more,
  };
}

function status(more: Partial<PodView> = {}) {
  return podStatus(viewOf(more));
}

function condition(made: ReturnType<typeof status>, type: string) {
  return made.conditions!.find((one) => one.type === type);
}

const ended = (code: number, at = now - 1000) => ({ code, startedAt: now - 60_000, finishedAt: at });

function withResources(resources: Pod["spec"]["containers"][number]["resources"]): Pod {
  return podOf({}, { containers: [containerOf({ resources })] });
}

describe("a Pod's status", () => {
  it("of a Pod that runs is ready", () => {
    const made = status();
    expect(made).toMatchObject({
      phase: "Running",
      podIP: "10.10.0.5",
      podIPs: [{ ip: "10.10.0.5" }],
      hostIP: "10.10.0.1",
      startTime: "2026-01-01T11:58:59Z",
      qosClass: "BestEffort",
    });
    expect(made.containerStatuses).toEqual([
      {
        name: "app",
        image: "weft.dev/bookshop/reviews:v1",
        imageID: "weft.dev/bookshop/reviews:v1",
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: "2026-01-01T11:59:00Z" } },
        lastState: {},
        containerID: `weft://${podOf().metadata.uid}/app/0`,
      },
    ]);
    expect(made.conditions!.map(({ type, status }) => [type, status])).toEqual([
      ["PodScheduled", "True"],
      ["Initialized", "True"],
      ["ContainersReady", "True"],
      ["Ready", "True"],
    ]);
  });

  it("waits for the proxy as for a container, and for ports of the host", () => {
    const waiting = status({ proxyReady: false });
    expect(condition(waiting, "Ready")).toMatchObject({ status: "False", reason: "ProxyNotReady" });
    expect(condition(waiting, proxyCondition)).toMatchObject({ status: "False" });
    expect(condition(status({ proxyReady: true }), "Ready")).toMatchObject({ status: "True" });
    const blocked = status({ problem: "host port 80: taken" });
    expect(condition(blocked, "Ready")).toMatchObject({
      status: "False",
      reason: "HostPortNotAvailable",
      message: "host port 80: taken",
    });
  });

  it("keeps the time of a condition until it changes, and the conditions of others", () => {
    const since = "2026-01-01T08:00:00Z";
    const known = [
      { type: "Ready", status: "True", lastTransitionTime: since },
      { type: "ContainersReady", status: "False", lastTransitionTime: since },
      { type: "example.com/gate", status: "True", lastTransitionTime: since },
    ];
    const pod: Pod = { ...podOf(), status: { conditions: known } };
    const made = status({ pod });
    expect(condition(made, "Ready")!.lastTransitionTime).toBe(since);
    expect(condition(made, "ContainersReady")!.lastTransitionTime).toBe("2026-01-01T12:00:00Z");
    expect(condition(made, "example.com/gate")).toEqual(known[2]);
  });

  it("waits for readiness gates", () => {
    const pod = podOf({}, { readinessGates: [{ conditionType: "example.com/gate" }] });
    expect(condition(status({ pod }), "Ready")).toMatchObject({ status: "False", reason: "ReadinessGatesNotReady" });
    const open: Pod = { ...pod, status: { conditions: [{ type: "example.com/gate", status: "True" }] } };
    expect(condition(status({ pod: open }), "Ready")).toMatchObject({ status: "True" });
  });

  it("tells how containers ended, are started again, and wait", () => {
    const exited = { kind: "exited", code: 137, startedAt: now - 60_000, finishedAt: now - 1000 } as const;
    const record = { ...newContainer(), attempt: 2, failures: 2, ended: ended(137) };
    const just = status({ containers: [view({ state: exited, record })] });
    expect(just.phase).toBe("Running");
    expect(just.containerStatuses![0]).toMatchObject({
      ready: false,
      restartCount: 2,
      state: { terminated: { exitCode: 137, signal: 9, reason: "Error", finishedAt: "2026-01-01T11:59:59Z" } },
    });
    expect(condition(just, "Ready")).toMatchObject({
      status: "False",
      reason: "ContainersNotReady",
      message: "containers with unready status: [app]",
    });
    const backing = { ...record, waiting: { reason: "CrashLoopBackOff", message: "back-off 20s" } };
    expect(status({ containers: [view({ state: exited, record: backing })] }).containerStatuses![0]).toMatchObject({
      state: { waiting: { reason: "CrashLoopBackOff" } },
      lastState: { terminated: { exitCode: 137 } },
    });
    const lost = { ...newContainer(), attempt: 0, ended: { finishedAt: now } };
    expect(
      status({ containers: [view({ state: { kind: "lost" }, record: lost })] }).containerStatuses![0]!.state,
    ).toMatchObject({
      terminated: { reason: "ContainerStatusUnknown", exitCode: 137 },
    });
  });

  it("goes from Pending over Running to its end", () => {
    const absent = { kind: "absent" } as const;
    const fresh = view({ state: absent, record: newContainer() });
    const once = podOf({}, { restartPolicy: "Never" });
    const exited = { kind: "exited", code: 0, finishedAt: now } as const;
    const done = (code: number) =>
      view({ state: exited, done: true, record: { ...newContainer(), attempt: 0, ended: ended(code) } });
    expect(status({ containers: [fresh] }).phase).toBe("Pending");
    expect(status({ containers: [fresh] }).containerStatuses![0]!.state).toEqual({
      waiting: { reason: "ContainerCreating" },
    });
    expect(status({ init: [view()], containers: [fresh] }).phase).toBe("Pending");
    expect(status({ init: [done(0)], containers: [view()] }).phase).toBe("Running");
    expect(status({ pod: once, init: [done(1)], containers: [fresh] }).phase).toBe("Failed");
    expect(status({ pod: once, containers: [done(0), done(0)] }).phase).toBe("Succeeded");
    expect(status({ pod: once, containers: [done(0), done(3)] }).phase).toBe("Failed");
    expect(status({ pod: once, containers: [done(0), view()] }).phase).toBe("Running");
    expect(condition(status({ pod: once, containers: [done(0)] }), "Ready")).toMatchObject({
      status: "False",
      reason: "PodCompleted",
    });
  });

  it("has Kubernetes' quality of service", () => {
    expect(qosClass(withResources({}))).toBe("BestEffort");
    expect(qosClass(withResources({ requests: { cpu: "1" } }))).toBe("Burstable");
    expect(qosClass(withResources({ limits: { cpu: "1", memory: "1Gi" } }))).toBe("Guaranteed");
    expect(qosClass(withResources({ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "500m" } }))).toBe(
      "Burstable",
    );
  });
});

describe("restarts", () => {
  it("follow Kubernetes' policies and pauses", () => {
    expect([0, 1, 2, 3, 6, 20].map(kubeletRules("Always").delay)).toEqual([
      0, 10_000, 20_000, 40_000, 300_000, 300_000,
    ]);
    for (const [policy, expected] of [
      ["Always", [true, true, true]],
      ["OnFailure", [false, true, true]],
      ["Never", [false, false, false]],
    ] as const)
      expect([policy, ...[0, 1, undefined].map(kubeletRules(policy).again)]).toEqual([policy, ...expected]);
  });
});

describe("the certificate of a Pod's proxy", () => {
  const tlsMode = "security.istio.io/tlsMode";
  const valid = { phase: "Valid", notAfter: now + 3_600_000, serialNumber: "0a" } as const;

  it("is a condition, which tells until when it is good and why it is not renewed", () => {
    const aspect = (certificate: PodView["certificate"]) => {
      const made = status({ proxyReady: true, ...(certificate && { certificate }) });
      return condition(made, "mesh.weft.dev/ProxyCertificate");
    };
    expect(aspect(undefined)).toBeUndefined();
    expect(aspect(valid)).toMatchObject({
      status: "True",
      reason: "Valid",
      message: "serial number 0a, until 2026-01-01T13:00:00Z",
    });
    expect(aspect({ ...valid, phase: "Expiring", problem: "it is away" })).toMatchObject({
      status: "True",
      reason: "Expiring",
      message: "serial number 0a, until 2026-01-01T13:00:00Z; the last request failed: it is away",
    });
    expect(aspect({ ...valid, phase: "Expired" })).toMatchObject({ status: "False", reason: "Expired" });
    expect(aspect({ phase: "Waiting" })).toMatchObject({ status: "False", reason: "Waiting" });
  });

  it("is why a Pod is not ready while there is none", () => {
    const made = status({ proxyReady: false, certificate: { phase: "Waiting", problem: "it is away" } });
    expect(condition(made, "Ready")).toMatchObject({
      status: "False",
      reason: "ProxyNotReady",
      message: "the Pod's proxy has no certificate yet: it is away",
    });
  });

  it("leads to the label that peers look for, once the proxy is ready, unless the Pod has one", () => {
    const labels = (more: Partial<PodView>) => missingLabels(viewOf(more));
    expect(labels({ proxyReady: true, certificate: valid })).toEqual({ [tlsMode]: "istio" });
    expect(labels({ proxyReady: false, certificate: valid })).toBeUndefined();
    expect(labels({ proxyReady: true })).toBeUndefined();
    const pod = podOf({ labels: { [tlsMode]: "disabled" } });
    expect(labels({ pod, proxyReady: true, certificate: valid })).toBeUndefined();
  });
});
