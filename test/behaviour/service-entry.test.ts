/** ServiceEntries and WorkloadEntries, field by field. */
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { podPorts } from "./backends.ts";
import type { Call } from "./caller.ts";
import { podText } from "./kubernetes.ts";
import { countBy, inParallel } from "./many.ts";
import { World } from "./world.ts";

let world: World;
let folder: string;

/** An application that listens on a Unix socket. */
const application = createServer((_request, response) => response.end("by socket"));

const [first, second, third, fourth] = ["pool-v1-0", "pool-v1-1", "pool-v1-2", "pool-v1-3"] as const;

const httpPort = { number: 9080, name: "http", protocol: "HTTP", targetPort: 8080 };

/** A ServiceEntry whose hosts are called by its name below `test`; JSON is YAML. */
function entry(name: string, spec: object, more: object = {}): string {
  return JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name },
    spec: { hosts: [`${name}.test`], location: "MESH_INTERNAL", resolution: "STATIC", ports: [httpPort], ...spec },
    ...more,
  });
}

function workload(name: string, spec: object, metadata: object = {}, status?: object): string {
  return JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadEntry",
    metadata: { name, ...metadata },
    spec,
    ...(status && { status }),
  });
}

function rule(host: string, spec: object): string {
  const metadata = { name: host.replaceAll(/[^a-z]/g, "x") };
  return JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata,
    spec: { host, ...spec },
  });
}

const tcpPort = { number: 9000, name: "tcp", protocol: "TCP" };
const checked = { annotations: { "proxy.istio.io/health-checks-enabled": "true" } };
const outliers = { trafficPolicy: { outlierDetection: { consecutive5xxErrors: 100 } } };

const fields = [
  entry("addressed", {
    ports: [tcpPort],
    addresses: ["10.120.0.1", "10.120.0.2"],
    endpoints: [{ address: `@${first}` }],
  }),
  entry("ranged", {
    ports: [tcpPort],
    addresses: ["10.121.0.0/24", "10.122.0.7/32"],
    endpoints: [{ address: `@${second}` }],
  }),
  entry("outside", { location: "MESH_EXTERNAL", endpoints: [{ address: `@${first}` }] }),
  entry("ported", {
    ports: [{ ...httpPort, targetPort: 1 }],
    endpoints: [{ address: `@${first}`, ports: { http: 8080 } }],
  }),
  entry("labelled", {
    endpoints: [
      { address: `@${first}`, labels: { version: "v1" } },
      { address: `@${second}`, labels: { version: "v2" } },
    ],
  }),
  rule("labelled.test", { subsets: [{ name: "two", labels: { version: "v2" } }] }),
  JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "labelled" },
    spec: {
      hosts: ["labelled.test"],
      http: [{ route: [{ destination: { host: "labelled.test", subset: "two" } }] }],
    },
  }),
  entry("placed", {
    endpoints: [
      { address: `@${first}`, locality: "us/us-a" },
      { address: `@${second}`, locality: "eu/eu-a/rack" },
      { address: `@${third}`, locality: "eu/eu-b" },
    ],
  }),
  rule("placed.test", outliers),
  entry("weighed", {
    endpoints: [
      { address: `@${first}`, weight: 4 },
      { address: `@${second}`, weight: 1 },
    ],
  }),
  rule("weighed.test", { trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } }),
  entry("networked", {
    endpoints: [
      { address: `@${first}`, network: "gated" },
      { address: `@${second}`, network: "open" },
    ],
  }),
  entry("private", { exportTo: ["."], endpoints: [{ address: `@${first}` }] }),
];

const portless = { number: 9080, name: "http", protocol: "HTTP" };
const ill = { address: `@${third}`, labels: { app: "chosen" }, ports: { http: 8080 } };

const selecting = [
  entry("selecting", { ports: [portless], workloadSelector: { labels: { app: "chosen" } } }),
  workload(
    "chosen",
    { address: `@${second}`, labels: { app: "other" }, ports: { http: 8080 } },
    { labels: { app: "chosen" } },
  ),
  workload("ill", ill, checked),
  entry("herd", { workloadSelector: { labels: { app: "herd" } } }),
  rule("herd.test", { trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } }),
  workload("heavy", { address: `@${first}`, labels: { app: "herd" }, weight: 4 }),
  workload("light", { address: `@${second}`, labels: { app: "herd" } }),
  workload("unchosen", { address: `@${fourth}`, labels: { app: "unchosen" } }),
  entry("machines", { workloadSelector: { labels: { app: "machine" } } }),
  rule("machines.test", outliers),
  workload("near", { address: `@${first}`, labels: { app: "machine", "istio-locality": "eu.eu-a.rack" }, weight: 3 }),
  workload("far", { address: `@${second}`, labels: { app: "machine" }, locality: "us/us-a" }),
  workload("gated", { address: `@${third}`, labels: { app: "machine" }, locality: "eu/eu-a/rack", network: "gated" }),
  entry("named", { resolution: "DNS", workloadSelector: { labels: { app: "by-name" } } }),
  workload("by-name", { address: "one.names", labels: { app: "by-name" } }),
];

const resolved = [
  entry("api.names", { hosts: ["api.names"], location: "MESH_EXTERNAL", resolution: "DNS" }),
  entry("several", { resolution: "DNS", endpoints: [{ address: "one.names" }, { address: `@${third}` }] }),
  entry("round", { resolution: "DNS_ROUND_ROBIN", endpoints: [{ address: "two.names", ports: { http: 8080 } }] }),
];

const dynamic = { location: "MESH_EXTERNAL", resolution: "DYNAMIC_DNS" };

const wildcards = [
  entry("plain-on-the-port", {
    ports: [{ number: 8080, name: "http", protocol: "HTTP" }],
    endpoints: [{ address: `@${fourth}` }],
  }),
  entry("dynamic", {
    ...dynamic,
    hosts: ["*.dynamic.test"],
    ports: [{ number: 8080, name: "http", protocol: "HTTP" }],
  }),
  entry("also-dynamic", {
    ...dynamic,
    hosts: ["*.also.test"],
    ports: [{ number: 8080, name: "http", protocol: "HTTP" }],
  }),
  entry("multiplexed", {
    ...dynamic,
    hosts: ["*.h2.test"],
    ports: [{ number: 8081, name: "http2", protocol: "HTTP2" }],
  }),
  entry(
    "greeted",
    { ...dynamic, hosts: ["*.tls.test"], ports: [{ number: 9443, name: "tls", protocol: "TLS" }] },
    { status: { addresses: [{ host: "*.tls.test", value: "240.240.0.9" }] } },
  ),
  entry("secured", {
    ...dynamic,
    hosts: ["*.secured.test"],
    ports: [{ number: 8444, name: "http", protocol: "HTTP" }],
  }),
  rule("*.secured.test", { trafficPolicy: { tls: { mode: "SIMPLE", insecureSkipVerify: true } } }),
  entry("certified", {
    ...dynamic,
    hosts: ["*.certified.test"],
    ports: [{ number: 8444, name: "http", protocol: "HTTP" }],
  }),
  rule("*.certified.test", { trafficPolicy: { tls: { mode: "SIMPLE" } } }),
];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-socket-"));
  chmodSync(folder, 0o755);
  const path = join(folder, "app.sock");
  application.listen(path);
  await once(application, "listening");
  chmodSync(path, 0o777);
  const socket = entry("socket", {
    ports: [{ number: 9080, name: "http", protocol: "HTTP" }],
    endpoints: [{ address: `unix://${path}` }],
  });
  world = await World.start("e", {
    mesh: { meshNetworks: { gated: { gateways: [{ address: "192.0.2.1", port: 15_443 }] } } },
    proxies: [
      {
        name: "caller",
        network: "here",
        labels: { app: "caller", "istio-locality": "eu.eu-a.rack" },
      },
      { name: "guest", namespace: "bank", labels: { app: "guest" } },
    ],
    services: [{ name: "pool", pods: { v1: 4 } }],
    istio: [...fields, socket, ...selecting, ...resolved, ...wildcards],
    kubernetes: {
      east: [
        podText({ name: "chosen", at: first, labels: { app: "chosen" }, ports: { http: podPorts.http } }),
        podText({ name: "not-ready", at: fourth, labels: { app: "chosen" }, ready: false }),
      ],
    },
    names: {
      "api.names": `@${first}`,
      "one.names": `@${second}`,
      "two.names": `@${third}`,
      "a.dynamic.test": `@${first}`,
      "b.dynamic.test": `@${second}`,
      "c.also.test": `@${third}`,
      "d.h2.test": `@${first}`,
      "e.tls.test": `@${second}`,
      "f.secured.test": `@${third}`,
      "g.certified.test": `@${third}`,
    },
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  application.close();
  rmSync(folder, { recursive: true, force: true });
});

const send = (url: string, call?: Call) => world.caller("caller").send(`http://${url}`, call);

/** Who answers so many requests, each over a connection of its own. */
async function answers(host: string, times = 12): Promise<readonly string[]> {
  const results = await inParallel(times, 4, async () => send(`${host}:9080/`, { fresh: true }));
  return results.map(({ seen, status }) => seen?.pod ?? String(status));
}

async function answering(host: string): Promise<readonly string[]> {
  return [...new Set(await answers(host))].toSorted();
}

/** What a TCP server says first; nothing where the connection is closed. */
async function greeted(host: string, port: number): Promise<string> {
  const socket = await world.caller("caller").connect(host, port);
  const closed = once(socket, "close").then(() => "");
  const text = await Promise.race([once(socket, "data").then(([chunk]) => String(chunk).trim()), closed]);
  socket.destroy();
  return text;
}

describe("ServiceEntry addresses", () => {
  test.each([
    ["10.120.0.1", first],
    ["10.120.0.2", first],
    ["10.121.0.1", second],
    ["10.121.0.200", second],
    ["10.122.0.7", second],
  ])("%s", async (address, pod) => {
    expect(await greeted(address, 9000)).toBe(pod);
  });

  test("what is beyond a network is not the service's", async () => {
    expect(await greeted(world.addressOf(third), 9000)).toBe(third);
  });
});

describe("ServiceEntry location", () => {
  test("services outside of the mesh are told from those inside", async () => {
    const dump = await world.envoy("caller").admin("GET", "/config_dump?resource=dynamic_active_clusters");
    const { configs } = JSON.parse(dump) as { configs: { cluster: { name: string; metadata?: object } }[] };
    const external = (name: string): boolean =>
      JSON.stringify(
        configs.find(({ cluster }) => cluster.name === `outbound|9080||${name}.test`)?.cluster.metadata,
      ).includes('"external":true');
    expect([external("outside"), external("ported")]).toEqual([true, false]);
    expect(await answering("outside.test")).toEqual([first]);
  });
});

describe("ServiceEntry endpoints", () => {
  test("ports", async () => {
    expect(await answering("ported.test")).toEqual([first]);
  });

  test("labels are those of subsets", async () => {
    expect(await answering("labelled.test")).toEqual([second]);
  });

  test("locality", async () => {
    expect(await answering("placed.test")).toEqual([second]);
  });

  test("weight", async () => {
    const counts = countBy(await answers("weighed.test", 50), (pod) => pod);
    expect(counts.get(first)).toBeGreaterThanOrEqual(35);
    expect(counts.get(second)).toBeGreaterThanOrEqual(5);
  });

  test("network", async () => {
    expect(await answering("networked.test")).toEqual([second]);
  });

  test("a Unix socket", async () => {
    expect((await send("socket.test:9080/")).text).toBe("by socket");
  });
});

describe("ServiceEntry exportTo", () => {
  test("other namespaces do not see the service", async () => {
    expect(await answering("private.test")).toEqual([first]);
    const clusters = await world.envoy("guest").admin("GET", "/clusters");
    expect(clusters).toContain("ported.test");
    expect(clusters).not.toContain("private.test");
  });
});

describe("ServiceEntry workloadSelector", () => {
  test("selects Pods and WorkloadEntries that serve, each on the port that it has of the name", async () => {
    expect(await answering("selecting.test")).toEqual([first, second]);
  });

  test("a WorkloadEntry that gets well takes requests", async () => {
    world.apply(workload("ill", ill, checked, { conditions: [{ type: "Healthy", status: "True" }] }));
    await eventually("it answers", async () =>
      (await answering("selecting.test")).includes(third) ? true : undefined,
    );
    world.apply(workload("ill", ill, checked, { conditions: [{ type: "Healthy", status: "False" }] }));
    await eventually("it answers no more", async () =>
      (await answering("selecting.test")).includes(third) ? undefined : true,
    );
  });
});

describe("WorkloadEntry", () => {
  test("locality, also by labels, and network", async () => {
    expect(await answering("machines.test")).toEqual([first]);
  });

  test("weight shares requests", async () => {
    const counts = countBy(await answers("herd.test", 50), (pod) => pod);
    expect(counts.get(first)).toBeGreaterThanOrEqual(35);
    expect(counts.get(second)).toBeGreaterThanOrEqual(5);
  });

  test("address by name, where names are looked up", async () => {
    expect(await answering("named.test")).toEqual([second]);
  });
});

describe("ServiceEntry resolution", () => {
  test("DNS looks up the host, where there are no endpoints", async () => {
    expect(await answering("api.names")).toEqual([first]);
  });

  test("DNS looks up all endpoints", async () => {
    expect(await answering("several.test")).toEqual([second, third]);
  });

  test("DNS_ROUND_ROBIN", async () => {
    expect(await answering("round.test")).toEqual([third]);
  });
});

describe("ServiceEntry DYNAMIC_DNS", () => {
  test("HTTP goes to the host that the request is for, beside other services of the port", async () => {
    for (const [host, pod] of [
      ["a.dynamic.test", first],
      ["b.dynamic.test", second],
      ["c.also.test", third],
      ["plain-on-the-port.test", fourth],
    ]) {
      expect((await send(`${host}:8080/`)).seen?.pod).toBe(pod);
    }
  });

  test("a host that there is not gets 503", async () => {
    expect((await send("nobody.dynamic.test:8080/")).status).toBe(503);
  });

  test("HTTP/2", async () => {
    const { seen } = await send("d.h2.test:8081/", { http2: true });
    expect({ pod: seen?.pod, protocol: seen?.protocol }).toEqual({ pod: first, protocol: "2.0" });
  });

  test("TLS goes to the server that its greeting asks for", async () => {
    const socket = await world.caller("caller").connect("240.240.0.9", 9443);
    const tls = connectTls({ socket, servername: "e.tls.test", rejectUnauthorized: false });
    const [chunk] = await once(tls, "data");
    expect(String(chunk).trim()).toBe(second);
    expect(world.backends.handshakes.at(-1)).toMatchObject({ pod: second, serverName: "e.tls.test" });
    tls.destroy();
  });

  test("TLS of the proxy's own asks for the request's host, and checks it unless told", async () => {
    expect((await send("f.secured.test:8444/")).seen?.pod).toBe(third);
    expect(world.backends.handshakes.at(-1)).toMatchObject({ pod: third, serverName: "f.secured.test" });
    expect((await send("g.certified.test:8444/")).status).toBe(503);
  });
});
