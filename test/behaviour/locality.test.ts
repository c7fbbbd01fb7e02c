/**
 * Which localities a sidecar calls. Two callers of one workload, in two zones of a region, call services with Pods there and in
 * two other regions. Names of groups are headings of Istio's reference "Destination Rule".
 */
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { countBy, inParallel } from "./many.ts";
import { World } from "./world.ts";

const outliers =
  "outlierDetection: { consecutive5xxErrors: 1, interval: 100ms, baseEjectionTime: 60s, maxEjectionPercent: 100 }";

function policy(host: string, trafficPolicy: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host} }
spec: { host: ${host}, trafficPolicy: { ${trafficPolicy} } }`;
}

function localities(host: string, setting: string, more = outliers): string {
  return policy(
    host,
    `${more}${more === "" ? "" : ", "}loadBalancer: { simple: RANDOM, localityLbSetting: ${setting} }`,
  );
}

function zones(host: string, setting: string): string {
  return policy(host, `loadBalancer: { simple: ROUND_ROBIN, zoneAwareLbSetting: ${setting} }`);
}

/** Versions of Pods are called by where they are. */
const places = { a: "eu.a", b: "eu.b", us: "us.x", asia: "asia.y" };
const everywhere = { a: 1, b: 1, us: 1, asia: 1 };

/** A Pod of the callers' workload. */
function pod(name: string, locality: string): string {
  return `
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  namespace: shop
  labels: { app: callers, version: b, istio-locality: ${locality} }
  ownerReferences: [{ apiVersion: apps/v1, kind: StatefulSet, name: callers, uid: callers, controller: true }]
spec: { containers: [{ name: app, image: app }] }
status: { podIP: "@${name}", phase: Running, conditions: [{ type: Ready, status: "True" }] }`;
}

const own = { ENABLE_SELF_DISCOVERY: "true", WORKLOAD_NAME: "callers" };
const callers = { "in-a": "eu.a", "in-b": "eu.b" };
const spread = [
  "nearest",
  "unwatched",
  "off",
  "to-asia",
  "own",
  "by-region",
  "by-version",
  "by-value",
  "shares",
  "unsaid",
];

let world: World;

beforeAll(async () => {
  world = await World.start("l", {
    mesh: { localityLbSetting: { failover: [{ from: "eu", to: "us" }] } },
    proxies: Object.entries(callers).map(([name, locality]) => ({
      name,
      labels: { app: "callers", version: "b" },
      locality,
      metadata: own,
    })),
    services: [
      { name: "callers", servedBy: Object.keys(callers) },
      ...spread.map((name) => ({ name, pods: everywhere, localities: places })),
      { name: "zones", pods: { a: 2, b: 2, us: 1 }, localities: places },
      { name: "zones-mesh", pods: { a: 2, b: 2, us: 1 }, localities: places },
      { name: "zones-off", pods: { a: 1, b: 1, us: 1 }, localities: places },
      { name: "zones-few", pods: { a: 1, b: 1 }, localities: places },
      { name: "uneven", pods: { a: 1, b: 3 }, localities: places },
      { name: "zones-fail", pods: everywhere, localities: places },
    ],
    kubernetes: { east: Object.entries(callers).map(([name, locality]) => pod(name, locality)) },
    istio: [
      policy("nearest", outliers),
      policy("unsaid", outliers),
      localities("unwatched", "{ enabled: true }", ""),
      localities("off", "{ enabled: false }"),
      localities("to-asia", "{ failover: [{ from: eu, to: asia }] }"),
      localities("own", "{ enabled: true }"),
      localities("by-region", "{ failoverPriority: [topology.kubernetes.io/region] }"),
      localities("by-version", "{ failoverPriority: [version] }"),
      localities("by-value", "{ failoverPriority: [version=us] }"),
      localities("shares", "{ distribute: [{ from: eu/a/*, to: { eu/a/*: 80, us/*: 20 } }] }", ""),
      zones("zones", "{ minClusterSize: 2 }"),
      zones("zones-off", "{ enabled: false }"),
      zones("zones-few", "{}"),
      zones("uneven", "{ minClusterSize: 2 }"),
      policy(
        "zones-fail",
        `${outliers}, loadBalancer: { zoneAwareLbSetting: { minClusterSize: 1, failover: [{ from: eu, to: asia }] } }`,
      ),
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: by-dns }
spec:
  hosts: [dns.example.com]
  addresses: [10.110.9.9]
  resolution: DNS
  ports: [{ number: 9080, name: http, protocol: HTTP, targetPort: 8080 }]
  endpoints:
    - { address: "@nearest-a-0", locality: eu/a }
    - { address: "@nearest-b-0", locality: eu/b }
    - { address: "@nearest-us-0", locality: us/x }`,
      policy("dns.example.com", outliers),
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

/** How many of some requests each place got, of those that were answered. */
async function shares(caller: string, host: string, times = 48): Promise<ReadonlyMap<string, number>> {
  const url = host.includes(".") ? `http://10.110.9.9:9080/` : `http://${host}:9080/`;
  const answered = await inParallel(times, 4, () => world.caller(caller).send(url, { host: `${host}:9080` }));
  const versions = answered.filter(({ status }) => status === 200).map(({ seen }) => seen?.pod.split("-").at(-2) ?? "");
  return countBy(versions, (version) => version);
}

/** The places that answer both callers, sorted. */
function reached(host: string): Promise<readonly (readonly string[])[]> {
  return Promise.all(Object.keys(callers).map(async (caller) => [...(await shares(caller, host)).keys()].toSorted()));
}

/** The places that answer a caller, sorted, once it has left those that fail. */
async function without(host: string, ...failing: readonly string[]): Promise<readonly string[]> {
  using stack = new DisposableStack();
  for (const place of failing) stack.use(world.backends.behave(`${host}-${place}-`, () => ({ status: 500 })));
  return await eventually("none of what fails is called", async () => {
    const found = await shares("in-a", host, 48);
    const answered = [...found.values()].reduce((sum, count) => sum + count, 0);
    return answered === 48 ? [...found.keys()].toSorted() : undefined;
  });
}

const all = ["a", "asia", "b", "us"];

describe("LocalityLoadBalancerSetting", () => {
  test("with outlier detection the own zone goes first, then the own region, then where the mesh says", async () => {
    expect(await reached("nearest")).toEqual([["a"], ["b"]]);
    expect(await without("nearest", "a")).toEqual(["b"]);
    expect(await without("nearest", "a", "b")).toEqual(["us"]);
  });

  test("without outlier detection, and where enabled is false, all places are one", async () => {
    expect(await reached("unwatched")).toEqual([all, all]);
    expect(await reached("off")).toEqual([all, all]);
  });

  test("failover", async () => {
    expect(await without("to-asia", "a", "b")).toEqual(["asia"]);
  });

  test("a rule's own setting is in place of the mesh's", async () => {
    expect(await without("own", "a", "b")).toEqual(["asia", "us"]);
  });

  test("failoverPriority: Pods that have the caller's labels go first", async () => {
    expect(await reached("by-region")).toEqual([
      ["a", "b"],
      ["a", "b"],
    ]);
    expect(await reached("by-version")).toEqual([["b"], ["b"]]);
    expect(await without("by-version", "b")).toEqual(["a", "asia", "us"]);
  });

  test("failoverPriority: a label may have a value", async () => {
    expect(await reached("by-value")).toEqual([["us"], ["us"]]);
  });

  test("distribute", async () => {
    const found = await shares("in-a", "shares", 300);
    expect([...found.keys()].toSorted()).toEqual(["a", "us"]);
    // 60 are expected; five standard deviations are 35.
    expect(found.get("us")).toBeGreaterThan(25);
    expect(found.get("us")).toBeLessThan(95);
    expect([...(await shares("in-b", "shares")).keys()].toSorted()).toEqual(all);
  });

  test("holds for endpoints that DNS finds, too", async () => {
    expect(await reached("dns.example.com")).toEqual([["a"], ["b"]]);
  });
});

describe("ZoneAwareLoadBalancerSetting", () => {
  test("requests stay in the caller's zone where its Pods suffice", async () => {
    expect(await reached("zones")).toEqual([["a"], ["b"]]);
  });

  test("other zones of the region get what the own one lacks", async () => {
    // Of the callers half are here, of the Pods a quarter: half of what is called from here goes elsewhere.
    const found = await shares("in-a", "uneven", 200);
    expect(found.get("a")).toBeGreaterThan(65);
    expect(found.get("b")).toBeGreaterThan(50);
    expect([...(await shares("in-b", "uneven")).keys()]).toEqual(["b"]);
  });

  test("enabled: false, and minClusterSize, which is 6 unless told", async () => {
    const three = ["a", "b", "us"];
    expect(await reached("zones-off")).toEqual([three, three]);
    expect(await reached("zones-few")).toEqual([
      ["a", "b"],
      ["a", "b"],
    ]);
  });

  test("failover says which region comes after the own one", async () => {
    expect(await without("zones-fail", "a", "b")).toEqual(["asia"]);
  });
});

describe("MeshConfig", () => {
  test("localityLbSetting and zoneAwareLbSetting hold where no rule says any, and change in running proxies", async () => {
    const three = ["a", "b", "us"];
    expect(await reached("zones-mesh")).toEqual([three, three]);
    const becomes = (what: string, host: string, expected: readonly (readonly string[])[]) =>
      eventually(what, async () => isDeepStrictEqual(await reached(host), expected));
    const near = ["a", "b"];
    world.setMesh({ localityLbSetting: { failoverPriority: ["topology.kubernetes.io/region"] } });
    await becomes("the own region goes first", "unsaid", [near, near]);
    world.setMesh({ localityLbSetting: { enabled: false } });
    await becomes("all places are one", "unsaid", [all, all]);
    world.setMesh({ zoneAwareLbSetting: { minClusterSize: 2 } });
    await becomes("the own zone goes first", "zones-mesh", [["a"], ["b"]]);
    expect(await reached("off")).toEqual([all, all]);
  });
});
