/** One mesh over two real clusters with real nodes, whose Pods have injected sidecars, while load goes on in both. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { peerAuthentication } from "#api/istio/peer-authentication.ts";
import { type Cluster as Member, cluster as memberKind } from "#api/weft/cluster.ts";
import { systemClock } from "#base/clock.ts";
import { command } from "#runtime/command.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { whileRunning } from "./daemon.ts";
import { startDns } from "./dns.ts";
import { JoinedMesh } from "./joined-mesh.ts";
import { ClusterNetwork } from "./network.ts";
import { type KubernetesNode, startNode } from "./node.ts";
import { proxyImage } from "./proxy-image.ts";
import {
  between,
  failures,
  injectionSettings,
  kubectl,
  type LoadState,
  loadOf,
  loadPod,
  packShop,
  shopIsReady,
  shopNamespace,
  shopPod,
  shopRoute,
  shopService,
} from "./shop.ts";

const patience = 240_000;
const services = ["details", "ratings"] as const;
const resources = new AsyncDisposableStack();
let network: ClusterNetwork;
let mesh: JoinedMesh;
let east: Cluster;
let west: Cluster;
let westNode: KubernetesNode;
let eastNode: KubernetesNode;

/** Each cluster has the other's version of details too little: what is routed to a version leads to one cluster. */
const workloads = {
  east: [
    { service: "details", version: "v1" },
    { service: "ratings", version: "v1" },
  ],
  west: [
    { service: "details", version: "v2" },
    { service: "ratings", version: "v1" },
  ],
} as const;

async function open(cluster: Cluster): Promise<void> {
  const pods = workloads[cluster.name as "east" | "west"].map((each) => shopPod(cluster.name, each));
  await kubectl(cluster, "apply -f -", ...pods, loadPod(services));
  await shopIsReady(cluster);
}

beforeAll(async () => {
  network = resources.use(await ClusterNetwork.create("shop"));
  const [shop, proxy] = await Promise.all([packShop(), proxyImage("weft.dev/test/proxyv2:1")]);
  resources.use(shop);
  resources.use(proxy);
  mesh = resources.use(await JoinedMesh.start(network));
  // API servers reach webhooks and the mesh's API by their endpoints: no kube-proxy runs where they do.
  const apiServer = ["--enable-aggregator-routing=true"];
  east = resources.use(await startCluster({ name: "east", network, apiServer }));
  west = resources.use(
    await startCluster({ name: "west", network, apiServer, pods: "10.65.0.0/16", services: "10.97.0.0/16" }),
  );
  await injectionSettings(mesh);
  await mesh.api.client
    .of(peerAuthentication)
    .create({ metadata: { namespace: "istio-system", name: "default" }, spec: { mtls: { mode: "STRICT" } } });
  const nodes: KubernetesNode[] = [];
  for (const cluster of [east, west]) {
    resources.use(await startDns(cluster));
    nodes.push(resources.use(await startNode(cluster, { name: `n-${cluster.name}`, images: [shop, proxy] })));
    await mesh.add(cluster, "--network main");
    await kubectl(cluster, "apply -f -", shopNamespace, ...services.map(shopService));
  }
  [eastNode, westNode] = [nodes[0]!, nodes[1]!];
  const subsets = ["v1", "v2"].map((name) => ({ name, labels: { version: name } }));
  const rule = {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { namespace: "shop", name: "details" },
    spec: { host: "details.shop.svc.cluster.local", subsets },
  };
  await kubectl(east, "apply -f -", rule, shopRoute("details", "v1"), shopRoute("ratings"));
  await Promise.all([open(east), open(west)]);
}, 600_000);
afterAll(() => resources.disposeAsync());

/** Waits until all that a cluster's load gets of a service in a second is of these outcomes, which are all there. */
async function gets(cluster: Cluster, service: string, wanted: readonly string[]): Promise<void> {
  const check = async (): Promise<boolean> => {
    const before = await loadOf(cluster);
    await systemClock.sleep(1_000);
    const { outcomes } = between(before, await loadOf(cluster), service);
    expect(Object.keys(outcomes).toSorted()).toEqual(wanted.toSorted());
    return true;
  };
  const what = `${cluster.name} gets ${wanted.join(", ")} of ${service}`;
  await whileRunning([mesh.server, mesh.discovery], what, check, 90_000);
}

/** Looks at what came of a cluster's load since a moment: enough of it, and no failure. */
async function isUnhurt(cluster: Cluster, since: LoadState): Promise<void> {
  const now = await loadOf(cluster);
  for (const service of services) {
    const { perSecond, outcomes } = between(since, now, service);
    expect(`${service}: ${JSON.stringify(failures(outcomes))}`).toBe(`${service}: {}`);
    expect(perSecond).toBeGreaterThanOrEqual(20);
  }
}

async function becomes(name: string, type: string, reason: string): Promise<void> {
  const check = async (): Promise<boolean> => {
    const { status } = await mesh.api.client.of<Member>(memberKind).get({ name });
    return status?.conditions?.some((each) => each.type === type && each.reason === reason) === true;
  };
  await eventually(`${name} says ${type} ${reason}`, check, patience);
}

test("kubectl in each cluster changes one VirtualService, and traffic shifts in both", async () => {
  for (const cluster of [east, west]) {
    await gets(cluster, "details", ["200 v1 east"]);
    await gets(cluster, "ratings", ["200 v1 east", "200 v1 west"]);
  }
  const since = new Map([
    [east, await loadOf(east)],
    [west, await loadOf(west)],
  ]);
  await kubectl(west, "apply -f -", shopRoute("details", "v2"));
  for (const cluster of [east, west]) await gets(cluster, "details", ["200 v2 west"]);
  await kubectl(east, [
    "patch",
    "virtualservice",
    "details",
    "-n",
    "shop",
    "--type=json",
    "-p",
    JSON.stringify([{ op: "replace", path: "/spec/http/0/route/0/destination/subset", value: "v1" }]),
  ]);
  for (const cluster of [east, west]) await gets(cluster, "details", ["200 v1 east"]);
  for (const [cluster, before] of since) await isUnhurt(cluster, before);
  expect(since.size).toBe(2);
});

/** Cuts or mends the way between a cluster and the mesh's control plane, on the hosts of both, so that nothing comes through either way. */
async function way(verb: "add" | "del"): Promise<void> {
  const blackhole = (range: string): [string, ...string[]] => ["ip", "route", verb, "blackhole", range];
  const on = (namespace: string, range: string): Promise<string> =>
    command(inside(namespacePath(namespace), blackhole(range)));
  const { address, namespace } = mesh.host;
  await westNode.run(blackhole(`${address}/32`));
  await on(west.host!.namespace, `${address}/32`);
  for (const range of ["10.65.0.0/16", `${westNode.address}/32`, `${west.host!.address}/32`])
    await on(namespace, range);
}

test("a cluster that is cut off from the control plane keeps its traffic, its clients get a clear error, and nothing diverges", async () => {
  const since = new Map([
    [east, await loadOf(east)],
    [west, await loadOf(west)],
  ]);
  await way("add");
  try {
    await kubectl(west, "wait apiservice/v1.networking.istio.io --for=condition=Available=False --timeout=3m");
    const { code, stderr } = await west.kubectl("apply -f -", {
      input: JSON.stringify(shopRoute("details", "v2")),
      patience,
    });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/currently unable to handle the request|error trying to reach service/);
    await becomes("west", "Ready", "Unreachable");
    // Its own objects are as before, and the mesh is led to it for as long as its toleration says.
    expect(await kubectl(west, "get services -n shop -o name")).toContain("service/details");
    await kubectl(east, "apply -f -", shopRoute("details", "v2"));
    await gets(east, "details", ["200 v2 west"]);
    await gets(west, "details", ["200 v1 east"]);
  } finally {
    await way("del");
  }
  await gets(west, "details", ["200 v2 west"]);
  await becomes("west", "Ready", "Following");
  await kubectl(west, "wait apiservice/v1.networking.istio.io --for=condition=Available --timeout=3m");
  const subset = "get virtualservice details -n shop -o jsonpath={.spec.http[0].route[0].destination.subset}";
  expect([await kubectl(east, subset), await kubectl(west, subset)]).toEqual(["v2", "v2"]);
  for (const [cluster, before] of since) await isUnhurt(cluster, before);
}, 420_000);

test("a cluster leaves under load and joins again, and no request to what remains fails", async () => {
  await kubectl(west, "apply -f -", shopRoute("details", "v1"));
  await gets(east, "details", ["200 v1 east"]);
  const since = await loadOf(east);
  // Callers are led away from it before its Pods end; until then that can be undone.
  await mesh.succeeds("drain west");
  await becomes("west", "Drained", "Drained");
  await gets(east, "ratings", ["200 v1 east"]);
  await gets(west, "ratings", ["200 v1 east", "200 v1 west"]);
  await mesh.succeeds("drain west --undo");
  await gets(east, "ratings", ["200 v1 east", "200 v1 west"]);
  await mesh.succeeds("drain west");
  await gets(east, "ratings", ["200 v1 east"]);
  await kubectl(west, "delete pod --all -n shop --timeout=3m");
  await eventually(
    "no proxy of west is connected",
    async () => (await mesh.weft(`remove west --kubeconfig ${mesh.kubeconfigOf(west)}`)).code === 0,
    patience,
  );
  expect(await mesh.succeeds("list")).not.toContain("west");
  const left = "get apiservices,services,endpointslices,mutatingwebhookconfigurations -A -o name";
  const ofMesh = "app.kubernetes.io/component in (mesh-api,control-plane)";
  expect(await kubectl(west, [...left.split(" "), "-l", ofMesh])).toBe("");

  await mesh.add(west, "--network main");
  await open(west);
  await gets(east, "ratings", ["200 v1 east", "200 v1 west"]);
  await kubectl(west, "apply -f -", shopRoute("details", "v2"));
  await gets(east, "details", ["200 v2 west"]);
  await isUnhurt(east, since);
}, 420_000);

test("a cluster that is lost without leaving is noticed by this load", async () => {
  const since = await loadOf(east);
  await eastNode.run(["ip", "route", "add", "blackhole", "10.65.0.0/16"]);
  const noticed = async (): Promise<boolean> => {
    const { outcomes } = between(since, await loadOf(east), "details");
    return Object.keys(failures(outcomes)).length > 0;
  };
  await eventually("requests fail", noticed, patience);
  await expect(isUnhurt(east, since)).rejects.toThrow("details: {");
});
