/** A cluster whose API tells objects with parts that make no sense: nothing of another cluster is touched, and all is well once it is. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import { cluster as clusterKind } from "#api/weft/cluster.ts";
import { type TestServer, startTestServer } from "#apiserver/testing/server.ts";
import { type Clock, systemClock } from "#base/clock.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { patience, runs } from "#base/testing/runs.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { eventually } from "../support/eventually.ts";
import { ApiFront } from "./api-front.ts";
import { MemberWorld, root } from "./member-world.ts";

const authority = createAuthority("a cluster");
const addresses = { east: "10.1.0.1", west: "10.2.0.1" } as const;
/** Waits between attempts are short, and limits of requests are some seconds. */
const clock: Clock = {
  ...systemClock,
  sleep: async (ms, signal) => systemClock.sleep(ms / 100, signal),
  after: (ms, action) => systemClock.after(ms / 10, action),
};
const resources = new AsyncDisposableStack();
let server: TestServer;
let mesh: Client;
let east: ApiFront;
let world: MemberWorld;

async function make(cluster: string, path: string, body: object): Promise<void> {
  // Some namespaces are there already.
  expect([201, 409]).toContain((await server.ask(cluster, path, { method: "POST", body })).status);
}

/** Fills a cluster with an object of each kind that is followed. Of Services of one name in several clusters the oldest would decide for all. */
async function fill(cluster: "east" | "west"): Promise<void> {
  for (const name of [root, "kube-system", "shop"]) await make(cluster, "/api/v1/namespaces", { metadata: { name } });
  const labels = { app: "reviews", version: "v1" };
  await make(cluster, "/api/v1/nodes", {
    metadata: { name: "n", labels: { "topology.kubernetes.io/zone": "z" } },
    spec: { podCIDR: "10.1.0.0/24" },
  });
  const container = { name: "app", image: "none", ports: [{ containerPort: 8080, name: "http" }] };
  await make(cluster, "/api/v1/namespaces/shop/pods", {
    metadata: { name: "p", labels },
    spec: { nodeName: "n", containers: [container] },
  });
  await make(cluster, "/api/v1/namespaces/shop/services", {
    metadata: { name: cluster, labels },
    spec: { selector: { app: "reviews" }, ports: [{ name: "http", port: 80, targetPort: "http" }] },
  });
  await make(cluster, "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", {
    metadata: { name: "a", labels: { "kubernetes.io/service-name": cluster } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: [{ addresses: [addresses[cluster]], conditions: { ready: true }, nodeName: "n", zone: "z" }],
  });
}

async function join(cluster: "east" | "west", front: ApiFront): Promise<void> {
  const address = { url: front.url, ca: authority.certificate, token: "good" };
  const config = formatKubeconfig([{ name: "x", cluster: "c", user: "u", namespace: "default", server: address }]);
  const place = { namespace: root, name: `kubeconfig-${cluster}` };
  await mesh.of(secretKind).create({ metadata: place, data: { kubeconfig: Buffer.from(config).toString("base64") } });
  await mesh
    .of(clusterKind)
    .create({ metadata: { name: cluster }, spec: { network: "main", kubeconfigSecret: place } });
}

beforeAll(async () => {
  server = resources.use(await startTestServer());
  mesh = new Client(resources.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
  for (const name of [root, "shop"]) await make("mesh", "/api/v1/namespaces", { metadata: { name } });
  for (const cluster of ["east", "west"] as const) await fill(cluster);
  east = resources.use(await ApiFront.of(server.url("east"), authority));
  const west = resources.use(await ApiFront.of(server.url("west"), authority));
  world = resources.use(new MemberWorld(mesh, true, clock));
  await join("west", west);
  await join("east", east);
  await world.become(`${addresses.east} ${addresses.west}`);
});
afterAll(() => resources.disposeAsync());

type Json = null | string | number | boolean | readonly Json[] | { readonly [name: string]: Json };

const nonsense: readonly Json[] = [
  null,
  "",
  "x".repeat(300),
  0,
  -1,
  1e300,
  true,
  [],
  {},
  [null],
  [[]],
  { a: null },
  "__proto__",
];

/** A value with one of its parts, chosen by a number, in the place of which something else stands. */
function mangled(value: Json, choice: number, put: Json): Json {
  if (typeof value !== "object" || value === null) return put;
  if (Array.isArray(value)) {
    const at = choice % (value.length + 1);
    return at === value.length
      ? put
      : value.with(at, mangled(value[at] as Json, Math.floor(choice / (value.length + 1)), put));
  }
  const members = value as Readonly<Record<string, Json>>;
  const names = Object.keys(members);
  const at = choice % (names.length + 1);
  const name = names[at];
  if (name === undefined) return put;
  const part = mangled(members[name]!, Math.floor(choice / (names.length + 1)), put);
  return { ...members, [name]: part };
}

/** Mangles each object of a list but for what makes it an object; it has another version then. */
function mangle(answer: unknown, choice: number, put: Json): unknown {
  const { items, ...list } = answer as {
    items?: readonly { readonly metadata: Record<string, Json> & { readonly resourceVersion: string } }[];
  };
  if (items === undefined) return answer;
  return {
    ...list,
    items: items.map(({ metadata, ...parts }) => {
      const { labels = {}, annotations = {} } = metadata;
      const changed = mangled({ ...parts, labels, annotations }, choice, put);
      const whole = typeof changed === "object" && changed !== null ? (changed as Record<string, Json>) : {};
      const { labels: otherLabels, annotations: others, ...rest } = whole;
      const more = { labels: otherLabels ?? null, annotations: others ?? null };
      return {
        ...rest,
        metadata: { ...metadata, ...more, resourceVersion: `${metadata.resourceVersion}9` },
      };
    }),
  };
}

/** Waits until each kind was listed twice more. */
async function listed(): Promise<void> {
  const from = east.asked.length;
  const plurals = ["namespaces", "nodes", "pods", "services", "endpointslices"];
  await eventually("all kinds are listed", () =>
    plurals.every((plural) => east.asked.slice(from).filter((path) => path.includes(`/${plural}?limit`)).length >= 2),
  );
}

test("whatever stands in its objects", { timeout: patience(120_000) }, async () => {
  const property = fc.asyncProperty(fc.nat(1_000_000), fc.constantFrom(...nonsense), async (choice, put) => {
    east.behave({ kind: "change", change: (answer) => mangle(answer, choice, put) });
    await listed();
    expect(world.addresses.split(" ")).toContain(addresses.west);
    east.behave({ kind: "change", change: (answer) => answer });
    await world.become(`${addresses.east} ${addresses.west}`);
  });
  await fc.assert(property, { numRuns: runs(15) });
  expect(world.seen.every((seen) => seen === "" || seen.includes(addresses.west) || seen === addresses.east)).toBe(
    true,
  );
});
