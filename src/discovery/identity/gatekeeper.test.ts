import { expect, test } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import type { Call } from "#grpc/server.ts";
import { Callers } from "#identity/callers.ts";
import type { TokenApi } from "#identity/issuer.ts";
import { TokenCluster } from "#identity/testing/cluster.ts";
import { ProxyGatekeeper } from "./gatekeeper.ts";
import { PodPlaces } from "./pod-places.ts";
import { SecretRights } from "./secret-rights.ts";

function reviews(uid: string, phase = "Running"): Pod {
  const metadata = { namespace: "shop", name: "reviews-1", uid, labels: { app: "reviews" }, creationTimestamp: "" };
  const spec = { nodeName: "east-1", serviceAccountName: "reviews", containers: [] };
  return { apiVersion: "v1", kind: "Pod", metadata, spec, status: { phase } } as unknown as Pod;
}

/** How far the clock by which callers are checked is ahead. */
let ahead = 0;
const cluster = await TokenCluster.create("https://east.test");
const pods = new PodPlaces();
const callers = new Callers({
  mesh: {
    trustDomains: () => ({ own: "cluster.local", aliases: [] }),
    clusters: () => new Map([["east", cluster]]),
    trust: () => undefined,
  },
  clock: { ...systemClock, now: () => Date.now() + ahead },
});
/** Accounts that may read Secrets, as the cluster says. */
const allowed = new Set<string>();
const rights: TokenApi = {
  json: async ({ body }) => {
    const { spec } = body as { readonly spec: { readonly user: string } };
    return { status: { allowed: allowed.has(spec.user) } };
  },
};
const clock = new ManualClock();
const gatekeeper = new ProxyGatekeeper({
  callers,
  pods,
  accounts: [{ namespace: "istio-system", name: "weft-agent" }],
  rights: new SecretRights(() => new Map([["east", rights]]), clock, silentLogger),
  readsSecrets: ({ id }) => id.startsWith("router~"),
});

async function call(order: Parameters<TokenCluster["token"]>[0] = {}): Promise<Call> {
  const headers = { authorization: `Bearer ${await cluster.token(order)}` };
  return { headers, secure: true, certificate: undefined, from: "test" } as unknown as Call;
}

function node(labels: Readonly<Record<string, string>>, namespace = "shop") {
  const id = "sidecar~10.0.0.1~reviews-1.shop~shop.svc.cluster.local";
  const metadata = { NAMESPACE: namespace, CLUSTER_ID: "east", LABELS: labels };
  return { id, cluster: "", version: "", metadata, locality: { region: "", zone: "", subzone: "" } };
}

test("a proxy has its Pod's labels and no others, also of those that say where it is", async () => {
  pods.audience("east").seen(reviews("one"));
  const admit = await gatekeeper.callerOf(await call());
  const claimed = {
    app: "page",
    istio: "ingressgateway",
    "service.istio.io/canonical-name": "edge",
    "topology.istio.io/network": "n1",
    "topology.kubernetes.io/region": "r1",
  };
  const { metadata, locality } = await admit(node(claimed));
  expect(metadata["LABELS"]).toEqual({ app: "reviews" });
  expect(locality).toEqual({ region: "r1", zone: "", subzone: "" });
});

test("that a proxy is to take plain text, the agent of its node may say, and its workload may not", async () => {
  pods.audience("east").seen(reviews("one"));
  const agent = { namespace: "istio-system", serviceAccount: "weft-agent", node: "east-1" };
  const bold = { ...node({}), metadata: { ...node({}).metadata, WEFT_LENIENT: "true" } };
  const [own, ofNode] = [await gatekeeper.callerOf(await call()), await gatekeeper.callerOf(await call(agent))];
  expect((await own(bold)).metadata).not.toHaveProperty("WEFT_LENIENT");
  expect((await ofNode(bold)).metadata).toHaveProperty("WEFT_LENIENT", "true");
});

test("only a proxy whose account may read Secrets is served any, whatever it calls itself", async () => {
  pods.audience("east").seen(reviews("one"));
  const admit = await gatekeeper.callerOf(await call());
  const [sidecar, router] = [node({}), { ...node({}), id: node({}).id.replace("sidecar", "router") }];
  expect(await admit(router)).toMatchObject({ withoutSecrets: true });
  expect(await admit({ ...router, metadata: { ...router.metadata, LABELS: { may: "read" } } })).toMatchObject({
    withoutSecrets: true,
  });
  allowed.add("system:serviceaccount:shop:reviews");
  clock.advance(60_001);
  expect((await admit(router)).withoutSecrets).toBeUndefined();
  expect(await admit(sidecar)).toMatchObject({ withoutSecrets: true });
  const plain = await gatekeeper.callerOf({ secure: false } as unknown as Call);
  expect((await plain(router)).withoutSecrets).toBeUndefined();
});

test("with its Pod goes what may be done for it", async () => {
  const agent = { namespace: "istio-system", serviceAccount: "weft-agent", node: "east-1" };
  const audience = pods.audience("east");
  audience.seen(reviews("two"));
  const [own, ofNode] = [await gatekeeper.callerOf(await call()), await gatekeeper.callerOf(await call(agent))];
  const bound = await call({ pod: { name: "reviews-1", uid: "two" } });
  await gatekeeper.callerOf(bound);
  for (const admit of [own, ofNode]) expect((await admit(node({}))).metadata["CLUSTER_ID"]).toBe("east");
  audience.seen(reviews("two", "Succeeded"));
  for (const admit of [own, ofNode]) await expect(admit(node({}))).rejects.toThrow("there is no such Pod");
  expect(pods.runsOn("east", "east-1", { namespace: "shop", name: "reviews" })).toBe(false);
  await expect(gatekeeper.callerOf(bound)).rejects.toMatchObject({ code: "Unauthenticated" });
  audience.seen(reviews("three"));
  expect(pods.runsOn("east", "east-1", { namespace: "shop", name: "reviews" })).toBe(true);
  await expect(gatekeeper.callerOf(bound)).rejects.toMatchObject({ code: "Unauthenticated" });
  // Streams of the Pod that had this name before are not its.
  for (const admit of [own, ofNode]) {
    await expect(admit(node({}))).rejects.toMatchObject({ code: "Unauthenticated" });
  }
  pods.forget("east");
  for (const admit of [own, ofNode]) await expect(admit(node({}))).rejects.toThrow("there is no such Pod");
  expect(pods.runsOn("east", "east-1", { namespace: "shop", name: "reviews" })).toBe(false);
});

test("a stream ends with the token that it was opened by", async () => {
  pods.audience("east").seen(reviews("one"));
  const admit = await gatekeeper.callerOf(await call());
  await admit(node({}));
  ahead = 3_590_000;
  await admit(node({}));
  ahead = 3_620_000;
  await expect(admit(node({}))).rejects.toMatchObject({ code: "Unauthenticated", message: "the token has ended" });
  ahead = 0;
});
