/** What Services of Kubernetes mean to proxies: which endpoints they have, for whom, and what is spoken with them. */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { podPorts } from "./backends.ts";
import type { Call } from "./caller.ts";
import { nodeText, podText, serviceText, type ServiceText, sliceText } from "./kubernetes.ts";
import { inParallel } from "./many.ts";
import { strangerAddress, World } from "./world.ts";

let world: World;

/** Where Services of the tests are called; nobody is there. */
const address = (last: number): string => `10.111.0.${last}`;

const [near, beside, far, there, other] = ["pool-v1-0", "pool-v1-1", "pool-v1-2", "pool-v1-3", "pool-v1-4"] as const;

/** One endpoint each of the caller's node, of its zone, and of another zone. */
const spread: ServiceText["endpoints"] = [
  { at: near, pod: "near" },
  { at: beside, pod: "beside" },
  { at: far, pod: "far" },
];

const httpPort = { name: "http", port: 9080 };
const distribution = "networking.istio.io/traffic-distribution";

const east = [
  nodeText("n1", "eu", "eu-a"),
  nodeText("n2", "eu", "eu-a"),
  nodeText("n3", "eu", "eu-b"),
  podText({ name: "near", at: near, node: "n1" }),
  podText({ name: "beside", at: beside, node: "n2" }),
  podText({ name: "far", at: far, node: "n3" }),
  podText({ name: "db-0", at: near, node: "n1", hostname: "db-0", subdomain: "db" }),
  podText({ name: "db-1", at: beside, node: "n2", hostname: "db-1", subdomain: "db" }),
  podText({ name: "starting", at: beside, ready: false }),
  serviceText({
    name: "db",
    address: "None",
    ports: [
      { name: "http", port: 8080 },
      { name: "tcp", port: 9000, to: podPorts.tcp },
    ],
    endpoints: [
      { at: near, pod: "db-0" },
      { at: beside, pod: "db-1" },
    ],
  }),
  serviceText({
    name: "datagrams",
    address: address(1),
    ports: [
      { name: "dns", port: 5353, protocol: "UDP" },
      { name: "http", port: 9080 },
    ],
    endpoints: [{ at: near, pod: "near" }],
  }),
  serviceText({
    name: "half",
    address: address(2),
    endpoints: [
      { at: near, pod: "near" },
      { at: beside, pod: "beside", ready: false },
    ],
  }),
  // Kubernetes says of every Pod of such a Service that it is ready.
  serviceText({
    name: "early",
    address: address(3),
    endpoints: [{ at: beside, pod: "starting" }],
    spec: { publishNotReadyAddresses: true },
  }),
  serviceText({
    name: "zonal",
    address: address(4),
    endpoints: spread,
    spec: { trafficDistribution: "PreferSameZone" },
  }),
  serviceText({ name: "close", address: address(5), endpoints: spread, spec: { trafficDistribution: "PreferClose" } }),
  serviceText({
    name: "beside",
    address: address(6),
    endpoints: spread,
    spec: { trafficDistribution: "PreferSameNode" },
  }),
  serviceText({
    name: "noted",
    address: address(7),
    endpoints: spread,
    annotations: { [distribution]: "prefersamenode" },
  }),
  JSON.stringify({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "nearby", annotations: { [distribution]: "PreferClose" } },
  }),
  podText({ name: "zoned-near", namespace: "nearby", at: near, node: "n1" }),
  podText({ name: "zoned-far", namespace: "nearby", at: far, node: "n3" }),
  serviceText({
    name: "zoned",
    namespace: "nearby",
    address: address(8),
    endpoints: [
      { at: near, pod: "zoned-near" },
      { at: far, pod: "zoned-far" },
    ],
  }),
  serviceText({ name: "nodal", address: address(9), endpoints: spread, spec: { internalTrafficPolicy: "Local" } }),
  serviceText({
    name: "sticky",
    address: address(10),
    endpoints: spread,
    spec: { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } } },
  }),
  serviceText({
    name: "private",
    address: address(11),
    endpoints: [{ at: near, pod: "near" }],
    annotations: { "networking.istio.io/exportTo": "., strict" },
  }),
  serviceText({
    name: "spoken",
    address: address(12),
    ports: [
      { name: "http-a", port: 1001, appProtocol: "kubernetes.io/h2c", to: podPorts.h2c },
      { name: "http-b", port: 1002, appProtocol: "grpc", to: podPorts.h2c },
      { name: "tcp-c", port: 1003, appProtocol: "HTTP" },
      { name: "http-d", port: 1004, appProtocol: "tcp", to: podPorts.tcp },
      { name: "http-e", port: 1005, appProtocol: "example.com/own" },
      { name: "http2-f", port: 1006, to: podPorts.h2c },
      { name: "grpc", port: 1007, to: podPorts.h2c },
      { name: "tcp-g", port: 1008, to: podPorts.tcp },
      { name: "something-h", port: 1009 },
    ],
    endpoints: [{ at: near, pod: "near" }],
  }),
  serviceText({
    name: "named",
    address: address(13),
    ports: [{ name: "http", port: 9080, targetPort: "web" }],
    endpoints: [{ at: "server", pod: "server" }],
    spec: { selector: { app: "named" } },
  }),
  serviceText({ name: "both", address: address(14), endpoints: [{ at: near, pod: "near" }] }),
  serviceText({ name: "own", address: address(15), endpoints: [{ at: near, pod: "near" }] }),
  serviceText({ name: "dns", namespace: "kube-system", address: address(16), endpoints: [{ at: near }] }),
  serviceText({
    name: "machines",
    address: address(17),
    ports: [{ name: "http", port: 9080, targetPort: 8080 }],
    endpoints: [],
    spec: { selector: { app: "machine" } },
  }),
];

/** A Service that says that it leads to a network. */
function crossing(network: string, addressed: boolean): string {
  return serviceText({
    name: "crossing",
    namespace: "istio-system",
    address: address(18),
    ports: [{ name: "tls", port: 15_443 }],
    endpoints: [],
    labels: { "topology.istio.io/network": network },
    spec: { type: "LoadBalancer" },
    status: { loadBalancer: { ingress: addressed ? [{ ip: "192.0.2.1" }] : [] } },
  });
}

const network = (name: string) => ({ "topology.istio.io/network": name });

const networked = [
  podText({ name: "here", at: near, labels: network("here") }),
  podText({ name: "gated", at: beside, labels: network("gated") }),
  podText({ name: "open", at: far, labels: network("open") }),
  serviceText({
    name: "spanning",
    address: address(19),
    endpoints: [
      { at: near, pod: "here" },
      { at: beside, pod: "gated" },
      { at: far, pod: "open" },
    ],
  }),
  crossing("gated", true),
  serviceText({ name: "ranged", address: address(20), endpoints: [{ at: near }] }).replace(
    '"endpoints":[{',
    `"endpoints":[{"addresses":["${strangerAddress}"]},{`,
  ),
  serviceText({ name: "registered", address: address(21), endpoints: [{ at: near }] }),
];

const north = [
  serviceText({ name: "registered", address: address(21), endpoints: [{ at: there }] }),
  serviceText({ name: "border", address: address(22), endpoints: [], spec: { externalIPs: ["192.0.2.3"] } }),
];

const west = [
  podText({ name: "there", at: there }),
  serviceText({ name: "both", address: "10.112.0.14", endpoints: [{ at: there, pod: "there" }] }),
  serviceText({ name: "own", address: "10.112.0.15", endpoints: [{ at: there, pod: "there" }] }),
  serviceText({ name: "dns", namespace: "kube-system", address: "10.112.0.16", endpoints: [{ at: there }] }),
];

beforeAll(async () => {
  world = await World.start("k", {
    mesh: {
      serviceSettings: [{ settings: { clusterLocal: true }, hosts: ["own.shop.svc.cluster.local"] }],
      meshNetworks: {
        ranged: { endpoints: [{ fromCidr: "10.10.14.0/24" }], gateways: [{ address: "192.0.2.2", port: 15_443 }] },
        registered: {
          endpoints: [{ fromRegistry: "north" }],
          gateways: [{ registryServiceName: "border.shop.svc.cluster.local", port: 15_443 }],
        },
      },
    },
    proxies: [
      {
        name: "caller",
        node: "n1",
        labels: { app: "caller", "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-a" },
      },
      { name: "guest", namespace: "bank", cluster: "west", network: "here", node: "w1", labels: { app: "guest" } },
      { name: "server", labels: { app: "named" }, serves: true },
    ],
    services: [
      { name: "pool", pods: { v1: 5 } },
      { name: "greeter", servedBy: ["server"] },
    ],
    istio: [
      `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: machine }
spec: { address: "@${other}", labels: { app: machine } }`,
      ...["sniffed", "plain"].map(
        (name, at) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [spoken]
  http: [{ match: [{ port: ${[1009, 1003][at]} }], directResponse: { status: 200, body: { string: routed } } }]`,
      ),
    ],
    kubernetes: { east: [...east, ...networked], west, north },
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

const send = (from: string, url: string, call?: Call) => world.caller(from).send(`http://${url}`, call);

/** The backends that answer a few requests, sorted. */
async function answering(from: string, name: string, at: string): Promise<readonly string[]> {
  const results = await inParallel(24, 4, async () => send(from, `${at}:9080/`, { host: name, fresh: true }));
  return [...new Set(results.map(({ seen, status }) => seen?.pod ?? String(status)))].toSorted();
}

/** What a server says first over TCP; nothing where the connection is closed. */
async function greeted(host: string, port: number): Promise<string> {
  const socket = await world.caller("caller").connect(host, port);
  const closed = once(socket, "close").then(() => "");
  const text = await Promise.race([once(socket, "data").then(([chunk]) => String(chunk).trim()), closed]);
  socket.destroy();
  return text;
}

const requestsOf = (cluster: string) =>
  world
    .envoy("caller")
    .sumOf(
      new RegExp(String.raw`^cluster\.${cluster.replaceAll(/[|.]/g, String.raw`\$&`)};?\.upstream_(rq|cx)_total$`),
    );

describe("headless", () => {
  test("HTTP goes to the Pod that was called, by the Service's name or the Pod's own", async () => {
    const before = await requestsOf("outbound|8080||db.shop.svc.cluster.local");
    for (const host of ["db", "db-0.db", "db-0.db.shop.svc.cluster.local"]) {
      expect((await send("caller", `${world.addressOf(near)}:8080/`, { host })).seen?.pod).toBe(near);
    }
    expect(await requestsOf("outbound|8080||db.shop.svc.cluster.local")).toBeGreaterThanOrEqual(before + 3);
  });

  test("TCP has a listener for each Pod", async () => {
    for (const backend of [near, beside]) expect(await greeted(world.addressOf(backend), 9000)).toBe(backend);
    expect(await requestsOf("outbound|9000||db.shop.svc.cluster.local")).toBeGreaterThanOrEqual(2);
  });
});

describe("ports", () => {
  test("UDP ports are passed over", async () => {
    expect((await send("caller", `${address(1)}:9080/`)).seen?.pod).toBe(near);
    expect(await world.envoy("caller").admin("GET", "/config_dump")).not.toContain("5353");
  });

  test.each([
    [1001, "2.0"],
    [1002, "2.0"],
    [1005, "1.1"],
    [1006, "2.0"],
    [1007, "2.0"],
  ])("appProtocol goes before the port's name: %i is HTTP/%s", async (port, protocol) => {
    const { seen } = await send("caller", `${address(12)}:${port}/`, {
      host: "spoken",
      http2: port === 1002 || port === 1007,
    });
    expect({ pod: seen?.pod, protocol: seen?.protocol }).toEqual({ pod: near, protocol });
  });

  test("appProtocol HTTP is routed, though the name says TCP", async () => {
    expect((await send("caller", `${address(12)}:1003/`, { host: "spoken" })).text).toBe("routed");
  });

  test("appProtocol TCP and the name tcp are bytes", async () => {
    for (const port of [1004, 1008]) expect(await greeted(address(12), port)).toBe(near);
  });

  test("a name that tells no protocol is sniffed", async () => {
    expect((await send("caller", `${address(12)}:1009/`, { host: "spoken" })).text).toBe("routed");
  });

  test("targetPort by name is the workload's port of that name", async () => {
    expect((await send("caller", `${address(13)}:9080/`, { host: "named" })).seen?.pod).toBe("server");
    expect(await world.envoy("server").sumOf(/^cluster\.inbound\|8080\|\|;?\.upstream_rq_total$/)).toBe(1);
  });
});

describe("endpoints", () => {
  test("those that are not ready take no requests", async () => {
    expect(await answering("caller", "half", address(2))).toEqual([near]);
  });

  test("publishNotReadyAddresses", async () => {
    expect(await answering("caller", "early", address(3))).toEqual([beside]);
  });

  test("a Service selects WorkloadEntries as it does Pods", async () => {
    expect(await answering("caller", "machines", address(17))).toEqual([other]);
  });

  test("sessionAffinity has no effect on proxies, as in Istio", async () => {
    expect(await answering("caller", "sticky", address(10))).toEqual([near, beside, far]);
  });
});

describe("trafficDistribution", () => {
  test.each([
    ["zonal.shop", address(4), [near, beside]],
    ["close.shop", address(5), [near, beside]],
    ["beside.shop", address(6), [near]],
  ])("%s", async (name, at, expected) => {
    expect(await answering("caller", name, at)).toEqual(expected);
  });

  test("the annotation of the Service, or of its namespace", async () => {
    expect(await answering("caller", "noted.shop", address(7))).toEqual([near]);
    expect(await answering("caller", "zoned.nearby", address(8))).toEqual([near]);
  });

  test("without a ready endpoint nearby those further away are called", async () => {
    const endpoints = spread.map((each) => ({ ...each, ready: each.at === far }));
    world.apply(sliceText("zonal", "shop", [httpPort], endpoints), "east");
    await eventually("the other zone answers", async () =>
      (await send("caller", `${address(4)}:9080/`, { host: "zonal.shop" })).seen?.pod === far ? true : undefined,
    );
    expect(await answering("caller", "zonal.shop", address(4))).toEqual([far]);
  });
});

describe("internalTrafficPolicy", () => {
  test("Local calls endpoints of the caller's node only", async () => {
    expect(await answering("caller", "nodal.shop", address(9))).toEqual([near]);
    expect(await answering("guest", "nodal.shop", address(9))).toEqual(["503"]);
  });
});

describe("networking.istio.io/exportTo", () => {
  test("a Service is one to the namespaces that it is exported to", async () => {
    expect((await send("caller", `${address(11)}:9080/`, { host: "private.shop" })).seen?.pod).toBe(near);
    const clusters = await world.envoy("guest").admin("GET", "/clusters");
    expect(clusters).toContain("nodal.shop");
    expect(clusters).not.toContain("private.shop");
  });
});

describe("several clusters", () => {
  test("Services of one name are one, called at its address in the caller's cluster", async () => {
    expect(await answering("caller", "both.shop", address(14))).toEqual([near, there]);
    expect(await answering("guest", "both.shop", "10.112.0.14")).toEqual([near, there]);
  });

  test("serviceSettings clusterLocal keeps calls in the caller's cluster", async () => {
    expect(await answering("caller", "own.shop", address(15))).toEqual([near]);
    expect(await answering("guest", "own.shop", "10.112.0.15")).toEqual([there]);
  });

  test("Services of kube-system are each cluster's own", async () => {
    expect(await answering("caller", "dns.kube-system", address(16))).toEqual([near]);
    expect(await answering("guest", "dns.kube-system", "10.112.0.16")).toEqual([there]);
  });
});

describe("networks", () => {
  test("endpoints of a network with a gateway are left to mutual TLS, those of one without are called", async () => {
    expect(await answering("guest", "spanning.shop", address(19))).toEqual([near, far]);
    world.apply(crossing("gated", false), "east");
    await eventually("the endpoint is called", async () =>
      (await send("guest", `${address(19)}:9080/`, { host: "spanning.shop" })).seen?.pod === beside ? true : undefined,
    );
    expect(await answering("guest", "spanning.shop", address(19))).toEqual([near, beside, far]);
  });

  test("a caller without a network reaches none that has a gateway", async () => {
    world.apply(crossing("here", true), "east");
    await eventually("the endpoint is called no more", async () => {
      const answers = await answering("caller", "spanning.shop", address(19));
      return answers.includes(near) ? undefined : true;
    });
  });

  test("meshNetworks say networks and gateways, by addresses and by clusters", async () => {
    // An address of the range of a network with a gateway, and an endpoint of a cluster of another one.
    expect(await answering("guest", "ranged.shop", address(20))).toEqual([near]);
    expect(await answering("guest", "registered.shop", address(21))).toEqual([near]);
  });
});
