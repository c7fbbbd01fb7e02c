/**
 * How a sidecar holds connections, retries, ejects and warms up, by DestinationRules and the retries of VirtualServices. Names of
 * groups are headings of Istio's reference "Destination Rule" and "Virtual Service".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Call, Result } from "./caller.ts";
import { countBy, inParallel } from "./many.ts";
import type { PortSpec } from "./objects.ts";
import { World } from "./world.ts";

function policy(host: string, trafficPolicy: string, more = ""): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host} }
spec:
  host: ${host}
  trafficPolicy: ${trafficPolicy}
${more}`;
}

function retrying(host: string, ...routes: readonly string[]): string {
  const all = routes.map((route) => `    - { ${route}, route: [{ destination: { host: ${host} } }] }`);
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host} }
spec:
  hosts: [${host}]
  http:
${all.join("\n")}`;
}

const http2: readonly PortSpec[] = [{ name: "http2", port: 9080, to: "h2c" }];
const outliers = "interval: 100ms, baseEjectionTime: 60s, maxEjectionPercent: 100";
const byUser = "consistentHash: { httpHeaderName: x-user";
const onceOn5xx = "retries: { attempts: 1, retryOn: 5xx }";

let world: World;
/** When every proxy had its endpoints. */
let started = 0;

beforeAll(async () => {
  world = await World.start("dp", {
    proxies: [{ name: "caller", labels: { app: "caller" } }],
    services: [
      ...["mortal", "idle", "levels", "few-retries", "budgeted"].map((name) => ({ name })),
      { name: "levels-2", pods: { v1: 1, v2: 1 } },
      ...["ring", "old-ring", "maglev", "gateways", "panicking", "calm", "warming", "warming-old"].map((name) => ({
        name,
        pods: { v1: 3 },
      })),
      { name: "sticky", pods: { v1: 2 } },
      { name: "unreachable", pods: { v1: 1, absent: 1 } },
      ...["few-requests", "one-stream", "pinged"].map((name) => ({ name, ports: http2 })),
      ...["tcp-idle", "tcp-mortal", "tcp-alive"].map((name, at) => ({
        name,
        ports: [{ name: "tcp", port: 9090 + at, to: "tcp" as const }],
      })),
      {
        name: "as-called",
        ports: [
          { name: "http", port: 9080, to: "http" },
          { name: "http-2", port: 9081, to: "h2c" },
        ],
      },
    ],
    istio: [
      policy("mortal", "{ connectionPool: { tcp: { maxConnectionDuration: 200ms } } }"),
      policy("idle", "{ connectionPool: { http: { idleTimeout: 200ms } } }"),
      policy("tcp-idle", "{ connectionPool: { tcp: { idleTimeout: 200ms } } }"),
      policy("tcp-mortal", "{ connectionPool: { tcp: { maxConnectionDuration: 200ms } } }"),
      policy("tcp-alive", "{ connectionPool: { tcp: { tcpKeepalive: { time: 1s, interval: 1s, probes: 2 } } } }"),
      policy("few-requests", "{ connectionPool: { http: { http2MaxRequests: 1 } } }"),
      policy("one-stream", "{ connectionPool: { http: { maxConcurrentStreams: 1 } } }"),
      policy("pinged", "{ connectionPool: { http: { http2KeepAlive: { interval: 100ms, timeout: 10s } } } }"),
      policy("as-called", "{ connectionPool: { http: { useClientProtocol: true } } }"),
      policy("few-retries", "{ connectionPool: { http: { maxRetries: 1 } } }"),
      policy("budgeted", "{ retryBudget: { percent: 1, minRetryConcurrency: 1, budgetInterval: 1s } }"),
      policy(
        "levels",
        "{ portLevelSettings: [{ port: { number: 9080 }, connectionPool: { http: { maxRequestsPerConnection: 1 } } }] }",
      ),
      policy(
        "levels-2",
        "{ connectionPool: { http: { maxRequestsPerConnection: 100 } } }",
        `  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 }, trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } } }`,
      ),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: levels-2 }
spec:
  hosts: [levels-2]
  http:
    - match: [{ uri: { prefix: /v2 } }]
      route: [{ destination: { host: levels-2, subset: v2 } }]
    - route: [{ destination: { host: levels-2, subset: v1 } }]`,
      policy("ring", `{ loadBalancer: { ${byUser}, ringHash: { minimumRingSize: 4000 } } } }`),
      policy("old-ring", `{ loadBalancer: { ${byUser}, minimumRingSize: 3000 } } }`),
      policy("maglev", `{ loadBalancer: { ${byUser}, maglev: { tableSize: 307 } } } }`),
      policy("gateways", `{ outlierDetection: { consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, ${outliers} } }`),
      policy(
        "unreachable",
        `{ connectionPool: { tcp: { connectTimeout: 100ms } },
          outlierDetection: { consecutive5xxErrors: 0, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, ${outliers} } }`,
      ),
      policy("panicking", `{ outlierDetection: { consecutive5xxErrors: 1, minHealthPercent: 60, ${outliers} } }`),
      policy("calm", `{ outlierDetection: { consecutive5xxErrors: 1, ${outliers} } }`),
      policy(
        "warming",
        "{ loadBalancer: { simple: LEAST_REQUEST, warmup: { duration: 600s, minimumPercent: 0, aggression: 0.2 } } }",
      ),
      policy("warming-old", "{ loadBalancer: { simple: ROUND_ROBIN, warmupDurationSecs: 30s } }"),
      policy("sticky", `{ loadBalancer: { ${byUser} } } }`),
      retrying("few-retries", onceOn5xx),
      retrying("budgeted", onceOn5xx),
      retrying(
        "sticky",
        "match: [{ uri: { prefix: /elsewhere } }], retries: { attempts: 1, retryOn: 5xx, retryIgnorePreviousHosts: true }",
        onceOn5xx,
      ),
    ],
  });
  started = performance.now();
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

function send(url: string, call?: Call): Promise<Result> {
  return world.caller("caller").send(`http://${url}`, call);
}

/** A statistic of the cluster of a service. */
function statistic(host: string, name: string, port = 9080): Promise<number> {
  const cluster = `outbound\\|${port}\\|\\|${host}\\.shop\\.svc\\.cluster\\.local`;
  return world.envoy("caller").sumOf(new RegExp(`^cluster\\.${cluster};?\\.${name}$`));
}

/** How many connections some requests came by, one after the other. */
async function connections(url: string): Promise<number> {
  const seen = await inParallel(4, 1, async () => (await send(url)).seen?.connection);
  return new Set(seen).size;
}

/** Sends requests at once that are held until all but one were turned away; how many got each status. */
async function allButOne(host: string, holds: (attempt: string) => boolean): Promise<ReadonlyMap<number, number>> {
  const { promise: after, resolve: release } = Promise.withResolvers<void>();
  using _held = world.backends.behave(`${host}-`, ({ headers }) =>
    holds(headers["x-envoy-attempt-count"] ?? "") ? { after } : { status: 503 },
  );
  let refusals = 0;
  const results = await inParallel(4, 4, async () => {
    const { status } = await send(`${host}:9080/`);
    if (status === 503) refusals += 1;
    if (refusals === 3) release();
    return status;
  });
  return countBy(results, (status) => status);
}

const one = new Map([
  [503, 3],
  [200, 1],
]);

describe("ConnectionPoolSettings", () => {
  test("maxConnectionDuration ends connections, whatever they do", async () => {
    await eventually("a connection is ended", async () => {
      await send("mortal:9080/");
      return (await statistic("mortal", "upstream_cx_max_duration_reached")) > 0;
    });
    const socket = await world.caller("caller").connect("tcp-mortal", 9091);
    const chatter = setInterval(() => socket.write("."), 20);
    await eventually("it is closed", () => socket.resume().closed || socket.readableEnded);
    clearInterval(chatter);
  });

  test("idleTimeout ends connections that nothing uses", async () => {
    await send("idle:9080/");
    await eventually("it is ended", async () => (await statistic("idle", "upstream_cx_idle_timeout")) > 0);
    const socket = await world.caller("caller").connect("tcp-idle", 9090);
    await eventually("it is closed", () => socket.resume().closed || socket.readableEnded);
  });

  test("tcpKeepalive finds out that a peer has vanished", async () => {
    const socket = await world.caller("caller").connect("tcp-alive", 9092);
    socket.on("error", () => undefined);
    const other = await world.caller("caller").connect("tcp-alive", 9092);
    await eventually("it talks", () => socket.read() !== null);
    other.destroy();
    await world.vanish("tcp-alive-v1-0");
    await eventually("it is closed", () => socket.resume().closed || socket.readableEnded);
  });

  test("http2MaxRequests turns away what is too much, at once", async () => {
    expect(await allButOne("few-requests", () => true)).toEqual(one);
  });

  test("maxRetries: what fails beyond them is not tried again", async () => {
    expect(await allButOne("few-retries", (attempt) => attempt === "2")).toEqual(one);
  });

  test("maxConcurrentStreams shares requests out over connections", async () => {
    const { promise: after, resolve: release } = Promise.withResolvers<void>();
    using _held = world.backends.behave("one-stream", () => ({ after }));
    const before = world.backends.seen.length;
    const sent = inParallel(3, 3, () => send("one-stream:9080/"));
    await eventually("all are under way", () => world.backends.seen.length >= before + 3);
    release();
    expect(new Set((await sent).map(({ seen }) => seen?.connection)).size).toBe(3);
  });

  test("http2KeepAlive pings", async () => {
    await send("pinged:9080/");
    await eventually("it is pinged", () => world.backends.pinged.filter((pod) => pod === "pinged-v1-0").length > 2);
    await send("one-stream:9080/");
    expect(world.backends.pinged).not.toContain("one-stream-v1-0");
  });

  test("useClientProtocol", async () => {
    expect((await send("as-called:9080/")).seen?.protocol).toBe("1.1");
    expect((await send("as-called:9081/", { http2: true })).seen?.protocol).toBe("2.0");
  });

  test("a port and a subset have settings of their own", async () => {
    expect(await connections("levels:9080/")).toBe(4);
    expect(await connections("levels-2:9080/v2")).toBe(4);
    expect(await connections("levels-2:9080/")).toBeLessThan(4);
  });
});

describe("RetryBudget", () => {
  test("what fails beyond it is not tried again", async () => {
    expect(await allButOne("budgeted", (attempt) => attempt === "2")).toEqual(one);
  });
});

describe("LoadBalancerSettings.ConsistentHashLB", () => {
  test("ringHash and minimumRingSize say how many places a ring has", async () => {
    expect(await statistic("ring", String.raw`ring_hash_lb\.size`)).toBeGreaterThanOrEqual(4000);
    expect(await statistic("old-ring", String.raw`ring_hash_lb\.size`)).toBeGreaterThanOrEqual(3000);
    const sticky = await statistic("sticky", String.raw`ring_hash_lb\.size`);
    expect(sticky).toBeGreaterThanOrEqual(1024);
    expect(sticky).toBeLessThan(3000);
  });

  test("maglev's tableSize is shared out between Pods", async () => {
    expect(await statistic("maglev", String.raw`maglev_lb\.min_entries_per_host`)).toBe(102);
    expect(await statistic("maglev", String.raw`maglev_lb\.max_entries_per_host`)).toBe(103);
    const pods = await inParallel(8, 4, async () => {
      const { seen } = await send("maglev:9080/", { headers: { "x-user": "one" } });
      return seen?.pod;
    });
    expect(new Set(pods).size).toBe(1);
  });
});

describe("OutlierDetection", () => {
  async function ejected(host: string, count: number): Promise<void> {
    await eventually(`${count} of ${host} are left out`, async () => {
      await send(`${host}:9080/`);
      return (await statistic(host, String.raw`outlier_detection\.ejections_active`)) === count;
    });
  }

  test("consecutiveGatewayErrors counts failures of gateways only", async () => {
    using _failing = world.backends.behave("gateways-v1-0", () => ({ status: 500 }));
    using _away = world.backends.behave("gateways-v1-1", () => ({ status: 503 }));
    await ejected("gateways", 1);
    const after = await inParallel(60, 4, () => send("gateways:9080/"));
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set([200, 500]));
  });

  test("consecutiveLocalOriginFailures count apart, where splitExternalLocalOriginErrors says so", async () => {
    using _failing = world.backends.behave("unreachable-v1-0", () => ({ status: 500 }));
    await ejected("unreachable", 1);
    const after = await inParallel(10, 1, () => send("unreachable:9080/"));
    for (const { status, seen } of after) {
      expect([status, seen?.headers["x-envoy-attempt-count"]]).toEqual([500, "1"]);
    }
  });

  test("under minHealthPercent all Pods are called, by default only those that are well", async () => {
    // Envoy gathers what it learns of Pods for up to a second before it chooses by it.
    for (const [host, called] of [["panicking", 3] as const, ["calm", 1] as const]) {
      using _first = world.backends.behave(`${host}-v1-0`, () => ({ status: 500 }));
      using _second = world.backends.behave(`${host}-v1-1`, () => ({ status: 500 }));
      await ejected(host, 2);
      await eventually(`${called} are called`, async () => {
        const panics = await statistic(host, "lb_healthy_panic");
        const pods = await inParallel(60, 4, async () => (await send(`${host}:9080/`)).seen?.pod);
        return new Set(pods).size === called && panics > 0 === (called === 3);
      });
    }
  });
});

describe("HTTPRetry", () => {
  test("retryIgnorePreviousHosts goes elsewhere though a hash says where to", async () => {
    using _failing = world.backends.behave("sticky-v1-0", () => ({ status: 503 }));
    const users = Array.from({ length: 12 }, (_, at) => ({ headers: { "x-user": `user-${at}` } }));
    const stays = await Promise.all(users.map((user) => send("sticky:9080/", user)));
    expect(new Set(stays.map(({ status }) => status))).toEqual(new Set([200, 503]));
    const goes = await Promise.all(users.map((user) => send("sticky:9080/elsewhere", user)));
    expect(new Set(goes.map(({ status }) => status))).toEqual(new Set([200]));
  });
});

describe("WarmupConfiguration", () => {
  /** Makes a Pod of a service one that came just now, and counts its share of sixty requests; a fair one were twenty. */
  async function shareOfNew(host: string): Promise<number> {
    const third = `${host}-v1-2`;
    const pods = await inParallel(60, 1, async () => (await send(`${host}:9080/`)).seen?.pod);
    return pods.filter((pod) => pod === third).length;
  }

  test.each(["warming", "warming-old"])("a Pod of %s that is new gets less", async (host) => {
    expect(await shareOfNew(host)).toBeGreaterThan(10);
    await eventually("the others have been there for a while", () => performance.now() - started > 12_000);
    world.setEndpoints(host, [`${host}-v1-0`, `${host}-v1-1`]);
    await eventually("one has gone", async () => (await statistic(host, "membership_total")) === 2);
    world.setEndpoints(host, [`${host}-v1-0`, `${host}-v1-1`, `${host}-v1-2`]);
    await eventually("it is back", async () => (await statistic(host, "membership_total")) === 3);
    expect(await shareOfNew(host)).toBeLessThan(15);
  });
});
