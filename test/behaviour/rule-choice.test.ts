/**
 * Which DestinationRules hold for whom. Every host has one VirtualService that sends to the subset `pick`, and each rule means
 * other Pods by it, so that the Pod that answers tells the rule; 503 tells that none holds.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { World } from "./world.ts";

/** A rule in which `pick` is a version. */
function rule(name: string, namespace: string, host: string, version: string, more = ""): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: ${namespace} }
spec: { host: ${host}, subsets: [{ name: pick, labels: { version: ${version} } }]${more} }`;
}

function toPick(host: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host} }
spec:
  hosts: [${host}]
  http:
    - match: [{ uri: { prefix: /other } }]
      route: [{ destination: { host: ${host}, subset: other } }]
    - route: [{ destination: { host: ${host}, subset: pick } }]`;
}

const chosen = ", workloadSelector: { matchLabels: { app: chosen } }";
const hosts = ["private", "named", "lookup", "rooted", "specific", "merged", "apart", "selected", "joined", "hidden"];

/** Who calls: a workload that selectors choose, another of its namespace, and one of another namespace. */
const callers = ["chosen", "plain", "banker"] as const;

let world: World;

beforeAll(async () => {
  world = await World.start("rc", {
    proxies: [
      { name: "chosen", labels: { app: "chosen", more: "labels" } },
      { name: "plain", labels: { app: "plain" } },
      { name: "banker", namespace: "bank", labels: { app: "chosen" } },
    ],
    services: hosts.map((name) => ({ name, pods: { v1: 1, v2: 1, v3: 1 } })),
    istio: [
      ...hosts.map(toPick),
      rule("private", "shop", "private", "v1", ", exportTo: [.]"),
      rule("named", "shop", "named", "v1", ", exportTo: [bank]"),
      rule("lookup", "bank", "lookup.shop.svc.cluster.local", "v1"),
      rule("lookup", "shop", "lookup", "v2"),
      rule("lookup", "istio-system", "lookup.shop.svc.cluster.local", "v3"),
      rule("rooted", "istio-system", "rooted.shop.svc.cluster.local", "v3"),
      rule("wide", "istio-system", "'*.shop.svc.cluster.local'", "v2"),
      rule("specific", "istio-system", "specific.shop.svc.cluster.local", "v1"),
      rule("merged-a", "shop", "merged", "v1"),
      rule(
        "merged-b",
        "shop",
        "merged",
        "v2 } }, { name: other, labels: { version: v3",
        ", trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } }",
      ),
      rule("apart-a", "shop", "apart", "v1"),
      rule("apart-b", "shop", "apart", "v2", ", exportTo: [bank]"),
      rule("selected-all", "shop", "selected", "v2"),
      rule("selected-chosen", "shop", "selected", "v1", `${chosen}, exportTo: [.]`),
      rule("joined-chosen", "shop", "joined", "v1", chosen),
      rule("joined-all", "shop", "joined", "v2 } }, { name: other, labels: { version: v3", ", exportTo: [., bank]"),
      rule("hidden-chosen", "shop", "hidden", "v1", chosen),
      rule("hidden-root", "istio-system", "hidden.shop.svc.cluster.local", "v3"),
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

async function answerTo(caller: string, host: string, path: string): Promise<string> {
  const { status, seen } = await world.caller(caller).send(`http://${host}.shop:9080${path}`);
  return seen?.pod.slice(`${host}-`.length, -"-0".length) ?? String(status);
}

/** The version that each of the callers gets, or the status without any. */
function answers(host: string, path = "/"): Promise<readonly string[]> {
  return Promise.all(callers.map((caller) => answerTo(caller, host, path)));
}

describe("DestinationRule exportTo", () => {
  test("a rule for its own namespace is not seen by others, which have the root namespace's", async () => {
    expect(await answers("private")).toEqual(["v1", "v1", "v2"]);
  });

  test("a rule may be for a named namespace only", async () => {
    expect(await answers("named")).toEqual(["v2", "v2", "v1"]);
  });
});

describe("DestinationRules of several namespaces", () => {
  test("the caller's own goes first, then the service's, then the root namespace's", async () => {
    expect(await answers("lookup")).toEqual(["v2", "v2", "v1"]);
    expect(await answers("rooted")).toEqual(["v3", "v3", "v3"]);
  });

  test("of one namespace's the one for the most specific host holds", async () => {
    expect(await answers("specific")).toEqual(["v1", "v1", "v1"]);
  });
});

describe("several DestinationRules for one host", () => {
  test("have the subsets of all, the older one's of a name, and the first policy", async () => {
    expect(await answers("merged")).toEqual(["v1", "v1", "v1"]);
    expect(await answers("merged", "/other")).toEqual(["v3", "v3", "v3"]);
    const send = () => world.caller("plain").send("http://merged:9080/");
    const [first, second] = [await send(), await send()];
    expect(first.seen?.connection).not.toBe(second.seen?.connection);
  });

  test("are not merged where other namespaces see them", async () => {
    expect(await answers("apart")).toEqual(["v1", "v1", "v2"]);
  });
});

describe("DestinationRule workloadSelector", () => {
  test("the rule is for chosen workloads of its own namespace, others have the rule for all", async () => {
    expect(await answers("selected")).toEqual(["v1", "v2", "v2"]);
    expect(await answers("selected", "/other")).toEqual(["503", "503", "503"]);
  });

  test("a rule for all that is exported to its own namespace by name is merged into it", async () => {
    expect(await answers("joined")).toEqual(["v1", "v2", "v2"]);
    expect(await answers("joined", "/other")).toEqual(["v3", "v3", "v3"]);
  });

  test("keeps rules of other namespaces from its namespace's other workloads", async () => {
    expect(await answers("hidden")).toEqual(["v1", "503", "v3"]);
  });

  test("changes for running proxies", async () => {
    world.apply(
      rule("selected-chosen", "shop", "selected", "v3", `, workloadSelector: { matchLabels: { app: plain } }`),
    );
    await expect.poll(() => answers("selected"), { timeout: 30_000 }).toEqual(["v2", "v3", "v2"]);
  });
});
