import { expect, test } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { systemClock } from "#base/clock.ts";
import type { Call } from "#grpc/server.ts";
import { Callers } from "#identity/callers.ts";
import { TokenCluster } from "#identity/testing/cluster.ts";
import { ProxyGatekeeper } from "./gatekeeper.ts";
import { PodPlaces } from "./pod-places.ts";

function reviews(uid: string, phase = "Running"): Pod {
  const metadata = { namespace: "shop", name: "reviews-1", uid, labels: { app: "reviews" }, creationTimestamp: "" };
  const spec = { nodeName: "east-1", serviceAccountName: "reviews", containers: [] };
  return { apiVersion: "v1", kind: "Pod", metadata, spec, status: { phase } } as unknown as Pod;
}

const cluster = await TokenCluster.create("https://east.test");
const pods = new PodPlaces();
const callers = new Callers({
  mesh: { trustDomains: () => ({ own: "cluster.local", aliases: [] }), clusters: () => new Map([["east", cluster]]) },
  clock: systemClock,
});
const gatekeeper = new ProxyGatekeeper(callers, pods, [{ namespace: "istio-system", name: "weft-agent" }]);

async function call(order: Parameters<TokenCluster["token"]>[0] = {}): Promise<Call> {
  const headers = { authorization: `Bearer ${await cluster.token(order)}` };
  return { headers, secure: true, certificate: undefined, from: "test" } as unknown as Call;
}

function node(labels: Readonly<Record<string, string>>, namespace = "shop") {
  const id = "sidecar~10.0.0.1~reviews-1.shop~shop.svc.cluster.local";
  const metadata = { NAMESPACE: namespace, CLUSTER_ID: "east", LABELS: labels };
  return { id, cluster: "", version: "", metadata, locality: { region: "", zone: "", subzone: "" } };
}

test("a proxy has its Pod's labels, and those that say where it is; what else it claims it has not", async () => {
  pods.audience("east").seen(reviews("one"));
  const admit = await gatekeeper.callerOf(await call());
  const claimed = { app: "page", istio: "ingressgateway", "topology.istio.io/network": "n1" };
  expect(admit(node(claimed)).metadata["LABELS"]).toEqual({ app: "reviews", "topology.istio.io/network": "n1" });
});

test("with its Pod goes what may be done for it", async () => {
  const agent = { namespace: "istio-system", serviceAccount: "weft-agent", node: "east-1" };
  const audience = pods.audience("east");
  audience.seen(reviews("two"));
  const [own, ofNode] = [await gatekeeper.callerOf(await call()), await gatekeeper.callerOf(await call(agent))];
  const bound = await call({ pod: { name: "reviews-1", uid: "two" } });
  await gatekeeper.callerOf(bound);
  for (const admit of [own, ofNode]) expect(admit(node({})).metadata["CLUSTER_ID"]).toBe("east");
  audience.seen(reviews("two", "Succeeded"));
  for (const admit of [own, ofNode]) expect(() => admit(node({}))).toThrow("there is no such Pod");
  expect(pods.runsOn("east", "east-1", { namespace: "shop", name: "reviews" })).toBe(false);
  await expect(gatekeeper.callerOf(bound)).rejects.toMatchObject({ code: "Unauthenticated" });
  audience.seen(reviews("three"));
  expect(pods.runsOn("east", "east-1", { namespace: "shop", name: "reviews" })).toBe(true);
  await expect(gatekeeper.callerOf(bound)).rejects.toMatchObject({ code: "Unauthenticated" });
  pods.forget("east");
  for (const admit of [own, ofNode]) expect(() => admit(node({}))).toThrow("there is no such Pod");
  expect(pods.runsOn("east", "east-1", { namespace: "shop", name: "reviews" })).toBe(false);
});
