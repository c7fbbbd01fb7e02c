/** Clusters with Istio's definitions and objects of their own, which the mesh takes over and gives back, on real API servers. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { kinds } from "#api/kinds.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { ResourceObject } from "#api/meta.ts";
import { definitionKind } from "#controllers/aggregation/installation.ts";
import { exportFrom, labelOf, writtenOf } from "#controllers/adoption/exported.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { istioDefinitions } from "./istio-definitions.ts";
import { type Ended, JoinedMesh } from "./joined-mesh.ts";
import { ClusterNetwork } from "./network.ts";

const patience = 120_000;
const resources = new AsyncDisposableStack();
let mesh: JoinedMesh;
let east: Cluster;
/** What east has of its own. */
let had: readonly ResourceObject[];

async function run(line: string, input?: unknown): Promise<string> {
  const text = input === undefined ? {} : { input: JSON.stringify(input) };
  const { code, stdout, stderr } = await east.kubectl(line, { patience, ...text });
  if (code !== 0) throw new Error(`kubectl ${line}: ${stderr}\n${mesh.server.log.slice(-2000)}`);
  return stdout;
}

const route = (name: string, host: string, namespace = "shop", metadata: object = {}): object => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name, namespace, ...metadata },
  spec: { hosts: [name], http: [{ route: [{ destination: { host } }] }] },
});

const strict = (namespace: string): object => ({
  apiVersion: "security.istio.io/v1",
  kind: "PeerAuthentication",
  metadata: { name: "default", namespace },
  spec: { mtls: { mode: "STRICT" } },
});

beforeAll(async () => {
  const network = resources.use(await ClusterNetwork.create("adopt"));
  east = resources.use(await startCluster({ name: "east", network, apiServer: ["--enable-aggregator-routing=true"] }));
  mesh = resources.use(await JoinedMesh.start(network));
  await mesh.api.client.of(namespaceKind).create({ metadata: { name: "shop" } });
  for (const definition of istioDefinitions()) await run("create -f -", definition);
  await run("wait crd --all --for=condition=Established --timeout=1m");
  await run("create namespace shop");
  await run("create namespace bank");
  const many = Array.from({ length: 40 }, (_, at) => route(`many-${at}`, "v1", "bank"));
  const objects = [
    route("reviews", "v1", "shop", { labels: { team: "a" }, annotations: { note: "kept" } }),
    route("same", "v1"),
    strict("bank"),
    ...many,
  ];
  await run("create -f -", { apiVersion: "v1", kind: "List", items: objects });
  had = await written();
  await mesh.add(east, "--istio-objects None");
}, 300_000);
afterAll(() => resources.disposeAsync());

/** All that east has by definitions of its own, in order. */
async function written(): Promise<readonly ResourceObject[]> {
  const { objects } = await exportFrom(east.api.client, kinds);
  return objects.map(writtenOf).toSorted((a, b) => (labelOf(a) < labelOf(b) ? -1 : 1));
}

async function own(): Promise<readonly string[]> {
  const { items } = await east.api.client.of(definitionKind).list();
  return items.map(({ metadata }) => metadata.name).toSorted();
}

function adopt(more: string): Promise<Ended> {
  return mesh.weft(`adopt east --kubeconfig ${mesh.kubeconfigOf(east)}${more && ` ${more}`}`);
}

async function succeeds(more: string): Promise<string> {
  const { out, code } = await adopt(more);
  if (code !== 0) throw new Error(`weft cluster adopt east ${more}: ${out}\n${mesh.server.log.slice(-2000)}`);
  return out;
}

const host = "jsonpath={.spec.http[0].route[0].destination.host}";
const inMesh = async (path: string): Promise<ResourceObject | undefined> => {
  const answer = await mesh.api.connection.send({ method: "GET", path: `/apis/networking.istio.io/v1/${path}` });
  return answer.status === 200 ? (JSON.parse(answer.body.toString()) as ResourceObject) : undefined;
};

const virtualServices = kinds.find(({ kind }) => kind === "VirtualService")!;

/** Gives the mesh objects of its own: one that differs, and one that is the same. */
beforeEach(async () => {
  const objects = mesh.api.client.of(virtualServices);
  for (const [name, to] of [
    ["reviews", "v2"],
    ["same", "v1"],
  ] as const) {
    await objects.delete({ namespace: "shop", name }).catch(() => undefined);
    const { apiVersion: _version, kind: _kind, ...draft } = route(name, to) as ResourceObject;
    await objects.create(draft);
  }
});

test("what is not decided is told, and nothing is changed", async () => {
  const definitionsBefore = await own();
  const open = await adopt("");
  expect(open.out).toMatch(/43 objects: 41 new, 1 as the mesh has them, 1 that differ, 0 that are not taken/);
  expect(open.out).toContain("!!  VirtualService/shop/reviews differs");
  expect(open.code).toBe(1);
  await run("create -f -", {
    ...route("wrong", "v1"),
    spec: { hosts: ["a"], http: [{ route: [{ destination: { host: "a" }, weight: -1 }] }] },
  });
  const refused = await adopt("--prefer mesh");
  expect(refused.out).toMatch(/VirtualService\/shop\/wrong is not taken: .*weight/);
  expect(refused.out).toContain("--leave-refused");
  expect(refused.code).toBe(1);
  await run("delete virtualservice wrong -n shop");
  await succeeds("--prefer mesh --dry-run");
  expect(await own()).toEqual(definitionsBefore);
  expect(await written()).toEqual(had);
  expect(await inMesh("namespaces/bank/virtualservices/many-0")).toBeUndefined();
});

test("an adoption whose API server does not reach the mesh's gives everything back", async () => {
  const { out, code } = await adopt(`--prefer cluster --members-address ${mesh.host.address}:9 --timeout 5`);
  expect(out).toContain("undo: remove the cluster's own definitions");
  expect(out).not.toMatch(/!! {2}undo/);
  expect(code).toBe(1);
  expect(await written()).toEqual(had);
  expect(await run(`get virtualservice reviews -n shop -o ${host}`)).toBe("v1");
  expect(await inMesh("namespaces/bank/virtualservices/many-0")).toBeUndefined();
  expect(JSON.stringify(await inMesh("namespaces/shop/virtualservices/reviews"))).toContain('"host":"v2"');
  expect(await run("get configmaps -n istio-system -l mesh.weft.dev/adopted=true -o name")).toBe("");
});

/** Steps of an adoption, at whose beginnings it is killed. */
const steps = [
  "refuse writes of the cluster's own Istio objects",
  "write a backup into the cluster, and read it again",
  "write the objects into the mesh, and read them again",
  "let the mesh's API serve the cluster",
  "remove the cluster's own definitions",
  "let its API server pass requests for Istio's objects on to the mesh's",
  "let writes through",
];

test.each(steps)("an adoption that is killed as it is to %s is taken back", async (step) => {
  const definitionsBefore = await own();
  const killed = await mesh.weft(`adopt east --kubeconfig ${mesh.kubeconfigOf(east)} --prefer mesh`, `... ${step}`);
  if (!killed.out.includes(`... ${step}`)) throw new Error(`it did not come to that step: ${killed.out}`);
  // The last step may be over before the signal is there: going back has the same to do.
  if (step !== steps.at(-1)) expect(killed.out).not.toContain("serves the mesh's Istio objects");
  await succeeds("--undo");
  expect(await own()).toEqual(definitionsBefore);
  expect(await written()).toEqual(had);
  await run("create -f - --dry-run=server", route("free", "v1"));
  expect(await run("get configmaps -n istio-system -l mesh.weft.dev/adopted=true -o name")).toBe("");
});

test("the mesh takes a cluster's objects over, loses no write that was taken, and gives them back", async () => {
  const definitionsBefore = await own();
  // Somebody who writes all the while: each write that the cluster takes must be there afterwards, by whomever it is kept.
  const stop = new AbortController();
  const taken: string[] = [];
  const refusals = new Set<string>();
  const writing = (async () => {
    for (let at = 0; !stop.signal.aborted; at += 1) {
      const { code, stderr } = await east.kubectl("create -f -", {
        input: JSON.stringify(route(`during-${at}`, "v1")),
        patience,
      });
      if (code === 0) taken.push(`during-${at}`);
      else refusals.add(stderr);
    }
  })();
  await eventually("somebody writes", () => taken.length > 1, patience);
  const out = await succeeds("--prefer mesh --choose VirtualService/shop/reviews=cluster");
  const whileAdopting = taken.length;
  await eventually("writes are taken again", () => taken.length > whileAdopting + 1, patience);
  stop.abort();
  await writing;
  expect(out).toContain("ok  VirtualService/shop/reviews differs: that of the cluster counts");
  expect([...refusals].join("\n")).toContain("adoption-in-progress");
  expect(await own()).toEqual([]);
  const names = (await run("get virtualservices -n shop -o name")).split("\n");
  for (const name of taken) expect(names).toContain(`virtualservice.networking.istio.io/${name}`);
  // Both serve one object now.
  expect(await run(`get virtualservice reviews -n shop -o ${host}`)).toBe("v1");
  expect(await inMesh("namespaces/shop/virtualservices/reviews")).toMatchObject({
    metadata: { labels: { team: "a" }, annotations: { note: "kept" } },
  });
  expect((await run("get virtualservices -n bank -o name")).trim().split("\n")).toHaveLength(40);
  expect(await run("get peerauthentication default -n bank -o jsonpath={.spec.mtls.mode}")).toBe("STRICT");
  expect((await adopt("--prefer mesh")).out).toContain("was adopted already");

  // Going back would lose what was written since: that is told, and nothing changes.
  await run("label virtualservice reviews -n shop since=adopted");
  const losing = await adopt("--undo");
  expect(losing.out).toMatch(/going back would lose: VirtualService\/shop\/reviews; nothing was changed/);
  expect(losing.code).toBe(1);
  expect(await own()).toEqual([]);
  expect(await run(`get virtualservice reviews -n shop -o ${host}`)).toBe("v1");
  await run("label virtualservice reviews -n shop since-");

  expect(await succeeds("--undo")).toContain("VirtualService/shop/reviews is what the mesh had before");
  expect(await own()).toEqual(definitionsBefore);
  const back = new Map((await written()).map((object) => [labelOf(object), object]));
  for (const object of had) expect(back.get(labelOf(object))).toEqual(object);
  expect(await run("get apiservices -l app.kubernetes.io/component=mesh-api -o name")).toBe("");
  const before = await inMesh("namespaces/shop/virtualservices/reviews");
  expect(JSON.stringify(before?.["spec"])).toContain('"host":"v2"');
  expect(before?.metadata.labels).toBeUndefined();
  expect(await inMesh("namespaces/bank/virtualservices/many-0")).toBeDefined();
});
