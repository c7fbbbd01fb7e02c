/** Two real clusters in networks of their own, whose Pods reach each other by east-west gateways alone. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { peerAuthentication } from "#api/istio/peer-authentication.ts";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { systemClock } from "#base/clock.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
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
  loadOf,
  loadPod,
  packShop,
  shopIsReady,
  shopNamespace,
  shopPod,
  shopRoute,
  shopService,
} from "./shop.ts";

const patience = 400_000;
const services = ["details", "ratings"] as const;
const nodes = new Map<string, KubernetesNode>();
const resources = new AsyncDisposableStack();
let mesh: JoinedMesh;
let east: Cluster;
let west: Cluster;

const pods = { east: "10.64.0.0/16", west: "10.65.0.0/16" } as const;
const regions = { east: "eu", west: "us" } as const;
const versions = { east: "v1", west: "v2" } as const;
const networkOf = ({ name }: Cluster): string => `network-of-${name}`;
const of = <V>(values: Readonly<Record<"east" | "west", V>>, { name }: Cluster): V => values[name as "east" | "west"];

/** What leads from other networks into a cluster's: a gateway that passes mutual TLS on by its server name. */
function eastWestGateway(cluster: Cluster): readonly object[] {
  const place = { namespace: "istio-gateways", name: "eastwest" };
  const network = { "topology.istio.io/network": networkOf(cluster) };
  const labels = { istio: "eastwestgateway", ...network };
  const inject = { "sidecar.istio.io/inject": "true" };
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: place.namespace } },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...place,
        labels: { ...labels, ...inject },
        annotations: { "inject.istio.io/templates": "gateway" },
      },
      spec: { containers: [{ name: "istio-proxy", image: "auto", imagePullPolicy: "Never" }] },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { ...place, labels },
      spec: {
        type: "LoadBalancer",
        selector: { istio: "eastwestgateway" },
        ports: [{ name: "tls", port: 15_443, targetPort: 15_443 }],
      },
    },
  ];
}

const crossing = {
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { namespace: "istio-gateways", name: "cross-network" },
  spec: {
    selector: { istio: "eastwestgateway" },
    servers: [
      {
        port: { number: 15_443, name: "tls", protocol: "TLS" },
        tls: { mode: "AUTO_PASSTHROUGH" },
        hosts: ["*.shop.svc.cluster.local"],
      },
    ],
  },
};

function rule(name: string, spec: object): object {
  const host = `${name}.shop.svc.cluster.local`;
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { namespace: "shop", name },
    spec: { host, ...spec },
  };
}

async function prepare(cluster: Cluster, images: Parameters<typeof startNode>[1]["images"]): Promise<KubernetesNode> {
  resources.use(await startDns(cluster));
  const region = of(regions, cluster);
  const labels = { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": `${region}-a` };
  const node = resources.use(await startNode(cluster, { name: `n-${cluster.name}`, images, labels }));
  nodes.set(cluster.name, node);
  // Pods of the other network cannot be called by their own addresses; they are answered when they call the gateway.
  const other = cluster.name === "east" ? pods.west : pods.east;
  await node.run(["iptables", "-I", "FORWARD", "-d", other, "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]);
  await mesh.add(cluster, `--network ${networkOf(cluster)}`);
  await kubectl(cluster, "apply -f -", shopNamespace, ...services.map(shopService), ...eastWestGateway(cluster));
  const status = JSON.stringify({ status: { loadBalancer: { ingress: [{ ip: node.address }] } } });
  const patch = "patch service eastwest -n istio-gateways --subresource=status --type=merge -p".split(" ");
  await kubectl(cluster, [...patch, status]);
  return node;
}

beforeAll(async () => {
  const network = resources.use(await ClusterNetwork.create("nets"));
  const [shop, proxy] = await Promise.all([packShop(), proxyImage("weft.dev/test/proxyv2:1")]);
  resources.use(shop);
  resources.use(proxy);
  mesh = resources.use(await JoinedMesh.start(network));
  const apiServer = ["--enable-aggregator-routing=true"];
  east = resources.use(await startCluster({ name: "east", network, apiServer, pods: pods.east }));
  west = resources.use(
    await startCluster({ name: "west", network, apiServer, pods: pods.west, services: "10.97.0.0/16" }),
  );
  await injectionSettings(mesh);
  await mesh.api.client
    .of(peerAuthentication)
    .create({ metadata: { namespace: "istio-system", name: "default" }, spec: { mtls: { mode: "STRICT" } } });
  for (const cluster of [east, west]) await prepare(cluster, [shop, proxy]);
  const subsets = ["v1", "v2"].map((name) => ({ name, labels: { version: name } }));
  await kubectl(east, "apply -f -", crossing, rule("details", { subsets }), ...services.map((name) => shopRoute(name)));
  for (const cluster of [east, west]) {
    const version = of(versions, cluster);
    const all = [shopPod(cluster.name, { service: "details", version }), ratings(cluster)];
    await kubectl(cluster, "apply -f -", ...all, loadPod(services));
  }
  for (const cluster of [east, west]) {
    await shopIsReady(cluster);
    await kubectl(cluster, "wait pod eastwest -n istio-gateways --for=condition=Ready --timeout=4m");
  }
}, 900_000);
afterAll(() => resources.disposeAsync());

function ratings(cluster: Cluster): object {
  return shopPod(cluster.name, { service: "ratings", version: "v1" });
}

/** Waits until all that a cluster's load gets of a service in a second is of these outcomes, which are all there. */
async function gets(cluster: Cluster, service: string, wanted: readonly string[]): Promise<void> {
  const check = async (): Promise<boolean> => {
    const before = await loadOf(cluster);
    await systemClock.sleep(1_000);
    const { outcomes } = between(before, await loadOf(cluster), service);
    expect(Object.keys(outcomes).toSorted()).toEqual(wanted.toSorted());
    return true;
  };
  await eventually(`${cluster.name} gets ${wanted.join(", ")} of ${service}`, check, patience);
}

test("Pods of another network are called by its gateway", { timeout: 900_000 }, async () => {
  for (const cluster of [east, west]) await gets(cluster, "details", ["200 v1 east", "200 v2 west"]);
  const since = await loadOf(east);
  await kubectl(west, "apply -f -", shopRoute("details", "v2"));
  for (const cluster of [east, west]) await gets(cluster, "details", ["200 v2 west"]);
  const { outcomes } = between(since, await loadOf(east), "details");
  expect(failures(outcomes)).toEqual({});
});

/** Asks for a service at the gateway of a cluster, from the node of another, and tells whose certificate answers. */
async function certificateAt(from: Cluster, to: Cluster, service: string): Promise<string> {
  const servername = `outbound_.9080_._.${service}.shop.svc.cluster.local`;
  const at = { host: nodes.get(to.name)?.address, port: 15_443, servername, rejectUnauthorized: false };
  const script = `
    const socket = require("node:tls").connect({ ...${JSON.stringify(at)}, ALPNProtocols: ["istio"] }, () => {
      console.log(socket.getPeerCertificate().subjectaltname);
      socket.destroy();
    });
    socket.on("error", (error) => { console.error(error.message); process.exitCode = 1; });
    socket.setTimeout(10000, () => socket.destroy(new Error("no answer")));`;
  const node = nodes.get(from.name);
  if (!node) throw new Error(`${from.name} has no node`);
  return (await node.run([process.execPath, "-e", script])).trim();
}

test("the certificate that a caller sees at another network's gateway is the workload's own", async () => {
  const workload = "URI:spiffe://cluster.local/ns/shop/sa/default";
  expect(await certificateAt(east, west, "details")).toBe(workload);
  expect(await certificateAt(west, east, "ratings")).toBe(workload);
  // The gateway's own proxy is another workload, and a service that it does not lead to has no certificate there.
  await expect(certificateAt(east, west, "nowhere")).rejects.toThrow(/ECONNRESET|disconnected/);
});

test("callers stay in their region while it is healthy, fail over to the other cluster when its Pods go, and come back", async () => {
  const outlierDetection = { consecutive5xxErrors: 5, interval: "1s", baseEjectionTime: "1s" };
  const trafficPolicy = { outlierDetection, loadBalancer: { localityLbSetting: { enabled: true } } };
  await kubectl(east, "apply -f -", rule("ratings", { trafficPolicy }));
  await gets(east, "ratings", ["200 v1 east"]);
  await gets(west, "ratings", ["200 v1 west"]);
  const since = await loadOf(east);
  await kubectl(east, "delete pod ratings-v1 -n shop --timeout=3m");
  await gets(east, "ratings", ["200 v1 west"]);
  await kubectl(east, "apply -f -", ratings(east));
  await gets(east, "ratings", ["200 v1 east"]);
  const { outcomes } = between(since, await loadOf(east), "ratings");
  expect(failures(outcomes)).toEqual({});
});

test("a service that is local to its cluster is called in no other", async () => {
  await kubectl(east, "delete destinationrule ratings -n shop");
  await gets(east, "ratings", ["200 v1 east", "200 v1 west"]);
  const settings = "serviceSettings: [{ settings: { clusterLocal: true }, hosts: [ratings.shop.svc.cluster.local] }]";
  await mesh.api.client
    .of<ConfigMap>(configMap)
    .create({ metadata: { namespace: "istio-system", name: "istio" }, data: { mesh: settings } });
  await gets(east, "ratings", ["200 v1 east"]);
  await gets(west, "ratings", ["200 v1 west"]);
  await kubectl(east, "delete pod ratings-v1 -n shop --timeout=3m");
  await gets(east, "ratings", ["503"]);
  expect(await kubectl(west, "get pod ratings-v1 -n shop -o jsonpath={.status.phase}")).toBe("Running");
});
