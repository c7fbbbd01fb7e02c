/**
 * One mesh of a cluster that serves the mesh's Istio objects and one that has Istio's definitions and objects of its own, which are kept the same
 * as the mesh's: on real API servers, with the controllers that delete namespaces.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ResourceObject } from "#api/meta.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { istioDefinitions } from "./istio-definitions.ts";
import { JoinedMesh } from "./joined-mesh.ts";
import { ClusterNetwork } from "./network.ts";

const patience = 60_000;
const resources = new AsyncDisposableStack();
let mesh: JoinedMesh;
/** Serves the mesh's objects. */
let east: Cluster;
/** Has its own. */
let west: Cluster;

async function run(cluster: Cluster, line: string, input?: unknown): Promise<string> {
  const text = input === undefined ? {} : { input: JSON.stringify(input) };
  const { code, stdout, stderr } = await cluster.kubectl(line, { patience, ...text });
  if (code === 0) return stdout;
  throw new Error(`kubectl ${line} in ${cluster.name}: ${stderr}\n${mesh.discovery.log.slice(-2000)}`);
}

const route = (name: string, host: string, namespace = "shop"): object => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name, namespace },
  spec: { hosts: [name], http: [{ route: [{ destination: { host } }] }] },
});

/** An object that the definition takes and Istio does not: it names no host. */
const wrong = {
  apiVersion: "networking.istio.io/v1",
  kind: "DestinationRule",
  metadata: { name: "wrong", namespace: "shop" },
  spec: {},
};

/** Where a cluster's VirtualServices lead, by NAMESPACE/NAME. */
async function routes(cluster: Cluster): Promise<Readonly<Record<string, string>>> {
  const template =
    "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}={.spec.http[0].route[0].destination.host}{'\\n'}{end}";
  const { code, stdout } = await cluster.kubectl(["get", "virtualservices", "-A", "-o", template], { patience });
  if (code !== 0) return {};
  return Object.fromEntries(
    stdout
      .trim()
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split("=") as [string, string]),
  );
}

async function become(wanted: Readonly<Record<string, string>>, ...clusters: readonly Cluster[]): Promise<void> {
  for (const cluster of clusters)
    await eventually(
      `the objects of ${cluster.name} are as they should be`,
      async () => {
        expect(await routes(cluster)).toEqual(wanted);
        return true;
      },
      patience,
    );
}

const drift = async (): Promise<string> => mesh.succeeds("drift west");

async function noDrift(): Promise<void> {
  await eventually("all is alike", async () => (await drift()).includes("all are the same as the mesh's"), patience);
}

beforeAll(async () => {
  const network = resources.use(await ClusterNetwork.create("crd-sync"));
  const apiServer = ["--enable-aggregator-routing=true"];
  const [one, other] = await Promise.all([
    startCluster({ name: "east", network, apiServer }),
    startCluster({ name: "west", network, apiServer, pods: "10.65.0.0/16", services: "10.97.0.0/16" }),
  ]);
  east = resources.use(one);
  west = resources.use(other);
  mesh = resources.use(await JoinedMesh.start(network));
  await Promise.all([run(east, "create namespace shop"), run(west, "create namespace shop")]);
  await run(west, "create -f -", { apiVersion: "v1", kind: "List", items: istioDefinitions() });
  await run(west, "wait crd --all --for=condition=Established --timeout=1m");
  await run(west, "create -f -", route("reviews", "west"));
  await mesh.add(east);
  await run(east, "create -f -", route("details", "east"));
  await mesh.add(west, "--istio-objects Synced");
}, 300_000);
afterAll(() => resources.disposeAsync());

test("kubectl in either cluster reads and writes the mesh's objects", async () => {
  await become({ "shop/details": "east", "shop/reviews": "west" }, east, west);
  await run(east, "apply --server-side --force-conflicts -f -", route("reviews", "from-east"));
  await become({ "shop/details": "east", "shop/reviews": "from-east" }, west);
  await run(west, "apply -f -", route("reviews", "from-west"));
  await run(west, "annotate virtualservice details -n shop note=kept");
  await become({ "shop/details": "east", "shop/reviews": "from-west" }, east);
  await eventually("the annotation is in the mesh", async () =>
    (await run(east, "get virtualservice details -n shop -o jsonpath={.metadata.annotations.note}")).includes("kept"),
  );
  await eventually("what the mesh says of it is shown in the cluster", async () => {
    const shown = JSON.parse(await run(west, "get virtualservice reviews -n shop -o json")) as ResourceObject;
    expect(shown["status"]).toMatchObject({
      observedGeneration: shown.metadata.generation,
      conditions: expect.arrayContaining([expect.objectContaining({ type: "Accepted" })]) as unknown,
    });
    return true;
  });
  await run(west, "delete virtualservice details -n shop");
  await become({ "shop/reviews": "from-west" }, east);
  await run(east, "delete virtualservice reviews -n shop");
  await become({}, west);
  await noDrift();
}, 180_000);

test("what is not valid is refused as it is written in the cluster that has its own objects", async () => {
  const create = async (object: object) =>
    west.kubectl("create --dry-run=server -f -", { input: JSON.stringify(object), patience });
  await eventually(
    "the cluster asks the control plane",
    async () => {
      expect((await create(wrong)).stderr).toMatch(
        /admission webhook "rev.validation.istio.io" denied the request: .*host/,
      );
      return true;
    },
    patience,
  );
  expect((await create({ ...wrong, spec: { host: "reviews" } })).code).toBe(0);
  const policy =
    "get validatingwebhookconfiguration istio-validator-istio-system -o jsonpath={.webhooks[*].failurePolicy}";
  expect(await run(west, policy)).toBe("Ignore");
  expect(await run(east, "get validatingwebhookconfigurations -o name")).toBe("");
});

test("what both write while the control plane is away is told, kept, and decided", async () => {
  for (const name of ["both", "edited", "mine"]) await run(west, "create -f -", route(name, "v1"));
  await become({ "shop/both": "v1", "shop/edited": "v1", "shop/mine": "v1" }, east);
  await mesh.discovery.stop("SIGKILL");
  await run(east, "apply --server-side --force-conflicts -f -", route("both", "east"));
  await run(west, "apply --server-side --force-conflicts -f -", route("both", "west"));
  await run(east, "delete virtualservice edited -n shop");
  await run(west, "apply --server-side --force-conflicts -f -", route("edited", "west"));
  await run(west, "delete virtualservice mine -n shop");
  await run(west, "create -f -", route("new", "west"));
  await run(west, "create -f -", wrong);
  mesh.discovery.start();
  await become({ "shop/both": "east", "shop/edited": "west", "shop/new": "west" }, east, west);
  await eventually("what nobody could check is told", async () => /shop\/wrong +Refused/.test(await drift()), patience);
  await run(west, "delete destinationrule wrong -n shop");
  await noDrift();
  expect(await mesh.succeeds("check west")).toContain("the same as the mesh's (Synced)");
  const { out } = await mesh.weft(`check east --kubeconfig ${mesh.kubeconfigOf(east)}`);
  expect(out).toContain("its API server serves the mesh's (Aggregated)");
  const told = await drift();
  expect(told).toMatch(/shop\/both +BothChanged +content in the member/);
  expect(told).toMatch(/shop\/edited +ChangedAndDeleted +deletion in the mesh/);
}, 180_000);

test("a namespace and a definition that are deleted in the cluster take nothing of the mesh with them", async () => {
  const all = { "shop/both": "east", "shop/edited": "west", "shop/new": "west" };
  await run(west, "delete namespace shop");
  await become({}, west);
  await become(all, east);
  await run(west, "create namespace shop");
  await become(all, west);
  await run(west, "delete crd virtualservices.networking.istio.io");
  await eventually("it is told", async () => (await drift()).includes("NoDefinition"), patience);
  await become(all, east);
  const definition = istioDefinitions().find((each) => JSON.stringify(each).includes('"virtualservices.networking'));
  await run(west, "create -f -", definition);
  await become(all, west);
  await noDrift();
}, 240_000);

test("a cluster that leaves keeps its objects, and so does the mesh", async () => {
  const all = await routes(east);
  await mesh.remove(west);
  expect(await run(west, "get validatingwebhookconfigurations -o name")).toBe("");
  await run(east, "delete virtualservice new -n shop");
  await run(west, "delete virtualservice both -n shop");
  const { "shop/new": _new, ...inMesh } = all;
  const { "shop/both": _both, ...inWest } = all;
  await new Promise((resolve) => {
    setTimeout(resolve, 3000);
  });
  expect(await routes(east)).toEqual(inMesh);
  expect(await routes(west)).toEqual(inWest);
}, 120_000);
