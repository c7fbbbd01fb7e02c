/**
 * How a sidecar balances, limits and ejects, by DestinationRules. Names of groups are headings of Istio's reference
 * "Destination Rule".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Call, Result } from "./caller.ts";
import { greeting } from "./greeting.ts";
import { countBy, inParallel } from "./many.ts";
import { eventually } from "../support/eventually.ts";
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

const three = { v1: 3 };

let world: World;

beforeAll(async () => {
  world = await World.start("d", {
    proxies: [{ name: "caller", labels: { app: "caller" } }],
    services: [
      { name: "subsets", pods: { v1: 1, v2: 2 } },
      ...["round", "random", "least", "by-header", "by-cookie", "by-address", "by-query"].map((name) => ({
        name,
        pods: three,
      })),
      { name: "narrow" },
      { name: "single-use" },
      { name: "unreachable", pods: { v1: 1, absent: 1 } },
      { name: "ailing", pods: three },
      { name: "picky", pods: three },
      { name: "told", ports: [{ name: "tcp", port: 9090, to: "tcp" }] },
      ...["tunnelled", "far"].map((name, at) => ({
        name,
        pods: { v1: 1, v2: 1 },
        ports: [{ name: "tcp", port: 9092 + at, to: "http" as const }],
      })),
      { name: "told-more", ports: [{ name: "tcp", port: 9091, to: "tcp" }] },
      {
        name: "ports",
        pods: three,
        ports: [
          { name: "http", port: 9080, to: "http" },
          { name: "http-admin", port: 9081, to: "http" },
        ],
      },
      { name: "upgraded", ports: [{ name: "http", port: 9080, to: "h2c" }] },
    ],
    istio: [
      policy(
        "subsets",
        "{ loadBalancer: { simple: RANDOM } }",
        `  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 }, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } } }`,
      ),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: subsets }
spec:
  hosts: [subsets]
  http:
    - match: [{ uri: { prefix: /v1 } }]
      route: [{ destination: { host: subsets, subset: v1 } }]
    - match: [{ uri: { prefix: /v2 } }]
      route: [{ destination: { host: subsets, subset: v2 } }]
    - match: [{ uri: { prefix: /v3 } }]
      route: [{ destination: { host: subsets, subset: v3 } }]
    - route: [{ destination: { host: subsets } }]`,
      policy("round", "{ loadBalancer: { simple: ROUND_ROBIN } }"),
      policy("random", "{ loadBalancer: { simple: RANDOM } }"),
      policy("by-header", "{ loadBalancer: { consistentHash: { httpHeaderName: x-user } } }"),
      policy("by-cookie", "{ loadBalancer: { consistentHash: { httpCookie: { name: user, path: /, ttl: 60s } } } }"),
      policy("by-address", "{ loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 65537 } } } }"),
      policy("by-query", "{ loadBalancer: { consistentHash: { httpQueryParameterName: user } } }"),
      policy("narrow", "{ connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } } }"),
      policy("single-use", "{ connectionPool: { http: { maxRequestsPerConnection: 1 } } }"),
      policy("unreachable", "{ connectionPool: { tcp: { connectTimeout: 100ms } } }"),
      policy(
        "ailing",
        "{ outlierDetection: { consecutive5xxErrors: 2, interval: 100ms, baseEjectionTime: 60s, maxEjectionPercent: 50 } }",
      ),
      policy(
        "picky",
        "{ outlierDetection: { consecutive5xxErrors: 2, interval: 100ms, baseEjectionTime: 60s, maxEjectionPercent: 50, outlierDetectionHttpErrorCodes: [418, 429] } }",
      ),
      policy("told", "{ proxyProtocol: {} }"),
      policy(
        "tunnelled",
        "{ tunnel: { targetHost: far.example.com, targetPort: 443 }, portLevelSettings: [{ port: { number: 9092 }, loadBalancer: { simple: RANDOM } }] }",
      ),
      policy(
        "far",
        "{ tunnel: { protocol: CONNECT, targetHost: far.example.com, targetPort: 443 } }",
        "  subsets: [{ name: v2, labels: { version: v2 }, trafficPolicy: { tunnel: { targetHost: farther.example.com, targetPort: 444 } } }]",
      ),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: far }
spec:
  hosts: [far]
  tcp: [{ route: [{ destination: { host: far, subset: v2 } }] }]`,
      policy("told-more", "{ proxyProtocol: { version: V2 } }"),
      policy(
        "ports",
        "{ loadBalancer: { simple: RANDOM }, portLevelSettings: [{ port: { number: 9081 }, loadBalancer: { consistentHash: { httpHeaderName: x-user } } }] }",
      ),
      policy("upgraded", "{ connectionPool: { http: { h2UpgradePolicy: UPGRADE } } }"),
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

function send(url: string, call?: Call): Promise<Result> {
  return world.caller("caller").send(`http://${url}`, call);
}

async function podOf(url: string, call?: Call): Promise<string> {
  const { status, text, seen } = await send(url, call);
  if (!seen) throw new Error(`no backend answered: ${status} ${text}`);
  return seen.pod;
}

/** How many of some requests each Pod got. */
async function shares(url: string, times: number, atOnce = 4): Promise<readonly number[]> {
  const pods = await inParallel(times, atOnce, () => podOf(url));
  return [...countBy(pods, (pod) => pod).values()];
}

describe("Subset", () => {
  test("requests for a subset reach Pods with its labels only", async () => {
    const v1 = await inParallel(20, 4, () => podOf("subsets:9080/v1"));
    expect(new Set(v1)).toEqual(new Set(["subsets-v1-0"]));
    const v2 = await inParallel(20, 4, () => podOf("subsets:9080/v2"));
    expect(new Set(v2)).toEqual(new Set(["subsets-v2-0", "subsets-v2-1"]));
  });

  test("requests for none reach all of the host's", async () => {
    expect(await shares("subsets:9080/", 60)).toHaveLength(3);
  });

  test("a subset that is not declared answers 503", async () => {
    expect(await send("subsets:9080/v3")).toMatchObject({ status: 503, seen: undefined });
  });

  test("a subset's own policy goes before the host's", async () => {
    // In turn: each gets exactly half, which random choice of forty does once in eight times at best.
    expect(await shares("subsets:9080/v2", 40, 1)).toEqual([20, 20]);
  });
});

describe("LoadBalancerSettings", () => {
  test("ROUND_ROBIN takes Pods in turn", async () => {
    const counts = await shares("round:9080/", 90, 1);
    expect(counts).toEqual([30, 30, 30]);
  });

  test("RANDOM shares roughly", async () => {
    const counts = await shares("random:9080/", 300);
    // 100 are expected; five standard deviations are 41.
    expect(counts).toHaveLength(3);
    for (const count of counts) expect(count).toBeGreaterThan(59);
  });

  test("by default a Pod with more requests under way gets fewer", async () => {
    using _slow = world.backends.behave("least-v1-0", () => ({ delayMs: 500 }));
    const pods = await inParallel(150, 10, () => podOf("least:9080/"));
    // Its fair share were 50.
    expect(pods.filter((pod) => pod === "least-v1-0").length).toBeLessThan(35);
  });
});

/** Asks twice for each of several users: whether each stayed with a Pod, and how many Pods they have together. */
async function stickiness(podFor: (user: string) => Promise<string>): Promise<{ stays: boolean; pods: number }> {
  const users = Array.from({ length: 12 }, (_, at) => `user-${at}`);
  const first = await Promise.all(users.map(podFor));
  const second = await Promise.all(users.map(podFor));
  return { stays: first.join() === second.join(), pods: new Set(first).size };
}

describe("LoadBalancerSettings.ConsistentHashLB", () => {
  test("httpHeaderName", async () => {
    const { stays, pods } = await stickiness((user) => podOf("by-header:9080/", { headers: { "x-user": user } }));
    expect(stays).toBe(true);
    expect(pods).toBeGreaterThan(1);
  });

  test("httpQueryParameterName", async () => {
    const { stays, pods } = await stickiness((user) => podOf(`by-query:9080/?user=${user}`));
    expect(stays).toBe(true);
    expect(pods).toBeGreaterThan(1);
  });

  test("httpCookie is set where it is missing, and leads back", async () => {
    const { headers, seen } = await send("by-cookie:9080/");
    expect(headers["set-cookie"]).toMatch(/^user="?[^;"]+"?; Max-Age=60; Path=\/; HttpOnly/);
    const cookie = headers["set-cookie"]!.split(";")[0]!;
    const pods = await inParallel(10, 2, () => podOf("by-cookie:9080/", { headers: { cookie } }));
    expect(new Set(pods)).toEqual(new Set([seen?.pod]));
  });

  test("useSourceIp", async () => {
    expect(await shares("by-address:9080/", 20)).toEqual([20]);
  });

  test("for one port only", async () => {
    const { stays } = await stickiness((user) => podOf("ports:9081/", { headers: { "x-user": user } }));
    expect(stays).toBe(true);
    const one = { headers: { "x-user": "user-1" } };
    const others = await inParallel(60, 4, () => podOf("ports:9080/", one));
    expect(new Set(others).size).toBe(3);
  });
});

describe("ConnectionPoolSettings", () => {
  test("maxConnections and http1MaxPendingRequests turn away what is too much, at once", async () => {
    const { promise: after, resolve: release } = Promise.withResolvers<void>();
    using _waiting = world.backends.behave("narrow", () => ({ after }));
    let refusals = 0;
    const results = await inParallel(8, 8, async () => {
      const result = await send("narrow:9080/");
      if (result.status === 503) refusals += 1;
      // One is under way, one waits: all others have had their answers.
      if (refusals === 6) release();
      return result;
    });
    expect(results.filter(({ status }) => status === 200)).toHaveLength(2);
    const refused = results.filter(({ status }) => status === 503);
    for (const { headers } of refused) expect(headers["x-envoy-overloaded"]).toBe("true");
  });

  test("maxRequestsPerConnection", async () => {
    const connections = await inParallel(6, 1, async () => (await send("single-use:9080/")).seen?.connection);
    expect(new Set(connections).size).toBe(6);
    const kept = await inParallel(6, 1, async () => (await send("round:9080/")).seen?.connection);
    expect(new Set(kept).size).toBeLessThan(6);
  });

  test("connectTimeout; a request whose connection failed goes to another Pod", async () => {
    const results = await inParallel(8, 1, () => send("unreachable:9080/"));
    expect(results.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    const again = results.filter(({ seen }) => seen?.headers["x-envoy-attempt-count"] === "2");
    expect(again.length).toBeGreaterThan(0);
    for (const { ms } of again) expect(ms).toBeGreaterThan(95);
    for (const { ms } of results) expect(ms).toBeLessThan(2900);
  });

  test("h2UpgradePolicy", async () => {
    expect((await send("upgraded:9080/")).seen?.protocol).toBe("2.0");
  });
});

describe("OutlierDetection", () => {
  /** How often a status was answered until no Pod answers it any more, and what the last forty requests were answered. */
  async function until(gone: number, host: string): Promise<{ before: number; last: number[] }> {
    let before = 0;
    let last: number[] = [];
    await eventually(`nobody of ${host} answers ${gone}`, async () => {
      last = (await inParallel(40, 1, () => send(`${host}:9080/`))).map(({ status }) => status);
      before += last.filter((status) => status === gone).length;
      return !last.includes(gone);
    });
    return { before, last };
  }

  test("a Pod that fails in a row is left out", async () => {
    using _failing = world.backends.behave("ailing-v1-0", () => ({ status: 500 }));
    const { before, last } = await until(500, "ailing");
    expect(before).toBeGreaterThanOrEqual(2);
    expect(new Set(last)).toEqual(new Set([200]));
    const after = await inParallel(40, 4, () => send("ailing:9080/"));
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set([200]));
  });

  test("outlierDetectionHttpErrorCodes are the failures that count, in place of 5xx", async () => {
    using _limiting = world.backends.behave("picky-v1-0", () => ({ status: 429 }));
    using _failing = world.backends.behave("picky-v1-1", () => ({ status: 500 }));
    const { before, last } = await until(429, "picky");
    expect(before).toBeGreaterThanOrEqual(2);
    // It is one of the two that are left.
    expect(last.filter((status) => status === 500).length).toBeGreaterThan(8);
  });
});

describe("TunnelSettings", () => {
  async function tunnelled(host: string, port: number): Promise<string> {
    return greeting(await world.caller("caller").connect(host, port));
  }

  test("connections go through the destination by CONNECT, to the target", async () => {
    expect(await tunnelled("tunnelled", 9092)).toMatch(/^tunnelled-v\d-0$/);
    const seen = world.backends.seen.findLast(({ pod }) => pod.startsWith("tunnelled"));
    expect({ method: seen?.method, host: seen?.path }).toEqual({ method: "CONNECT", host: "far.example.com:443" });
  });

  test("a subset may have a target of its own", async () => {
    expect(await tunnelled("far", 9093)).toBe("far-v2-0");
    expect(world.backends.seen.findLast(({ pod }) => pod === "far-v2-0")?.path).toBe("farther.example.com:444");
  });
});

describe("ProxyProtocol", () => {
  /** What a Pod gets first: it sends all back, after its name. */
  async function received(host: string, port: number, length: number): Promise<Buffer> {
    const socket = await world.caller("caller").connect(host, port);
    let all = Buffer.alloc(0);
    for await (const chunk of socket) {
      all = Buffer.concat([all, chunk as Buffer]);
      if (all.length >= length) break;
    }
    return all.subarray(all.indexOf("\n") + 1);
  }

  test("connections begin with the caller's address", async () => {
    expect((await received("told", 9090, 40)).toString()).toMatch(
      /^PROXY TCP4 10\.10\.15\.1 10\.110\.[\d.]+ \d+ 9090\r\n/,
    );
  });

  test("in version 2 too", async () => {
    const signature = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
    expect((await received("told-more", 9091, 36)).subarray(0, 12)).toEqual(signature);
  });
});
