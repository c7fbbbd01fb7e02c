import { type Mesh, mesh as meshKind } from "#api/weft/mesh.ts";
import { jsonLogger } from "#base/logger.ts";
import { MeshStatusWriter } from "#status/mesh.ts";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { type TestServer, startTestServer } from "#apiserver/testing/server.ts";
import { type Clock, systemClock } from "#base/clock.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { hastyClock } from "#base/testing/hasty-clock.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { eventually } from "../support/eventually.ts";
import { ApiFront } from "./api-front.ts";
import { MemberWorld, root } from "./member-world.ts";

const authority = createAuthority("a cluster");
/** Looks at members come a second apart, and up to ten seconds where one is away. */
const clock = hastyClock(5);

/** A socket that counts who comes. */
class SocketListener implements AsyncDisposable {
  readonly #server = createServer();
  readonly #folder = mkdtempSync(join(tmpdir(), "weft-socket-"));
  connections = 0;

  static async open(): Promise<SocketListener> {
    const listener = new SocketListener();
    listener.#server.on("connection", (socket) => {
      listener.connections += 1;
      socket.destroy();
    });
    listener.#server.listen(listener.#path);
    await once(listener.#server, "listening");
    return listener;
  }

  get #path(): string {
    return join(this.#folder, "api.sock");
  }

  get url(): string {
    return `unix://${this.#path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
    rmSync(this.#folder, { recursive: true });
  }
}

let server: TestServer;
let mesh: Client;
const resources = new AsyncDisposableStack();

function clientOf(endpoint: string): Client {
  return new Client(resources.use(new Connection({ url: server.url(endpoint) }, { clock: systemClock })));
}

beforeAll(async () => {
  server = resources.use(await startTestServer());
  mesh = clientOf("mesh");
  for (const endpoint of ["mesh", "east", "west"]) {
    for (const name of [root, "kube-system", "shop"]) {
      await server.ask(endpoint, "/api/v1/namespaces", { method: "POST", body: { metadata: { name } } });
    }
  }
  for (const endpoint of ["east", "west"]) {
    const spec = { ports: [{ name: "http", port: 80 }] };
    const service = { metadata: { name: "reviews" }, spec };
    await server.ask(endpoint, "/api/v1/namespaces/shop/services", { method: "POST", body: service });
  }
  await addEndpoint("east", "a", "10.1.0.1");
  await addEndpoint("west", "a", "10.2.0.1");
});
afterAll(() => resources.disposeAsync());

/** A slice of one address, which belongs to no Pod. */
async function addEndpoint(cluster: string, name: string, address: string): Promise<void> {
  const body = {
    metadata: { name, labels: { "kubernetes.io/service-name": "reviews" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: [{ addresses: [address] }],
  };
  const path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
  const { status } = await server.ask(cluster, path, { method: "POST", body });
  expect(status).toBe(201);
}

async function removeEndpoint(cluster: string, name: string): Promise<void> {
  await server.ask(cluster, `/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/${name}`, { method: "DELETE" });
}

const clusters = () => mesh.of<Cluster>(clusterKind);

function kubeconfig(front: ApiFront, token = "good"): string {
  const server = { url: front.url, ca: authority.certificate, token };
  return formatKubeconfig([{ name: "x", cluster: "c", user: "u", namespace: "default", server }]);
}

async function putSecret(
  name: string,
  data: Record<string, string>,
  labels: Record<string, string> = {},
): Promise<void> {
  const encoded = Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  );
  const secrets = mesh.of(secretKind);
  const found = await secrets.find({ namespace: root, name });
  if (found) await secrets.replace({ ...found, data: encoded });
  else await secrets.create({ metadata: { namespace: root, name, labels }, data: encoded });
}

async function putCluster(name: string, spec: Partial<Cluster["spec"]> = {}): Promise<void> {
  const kubeconfigSecret = { namespace: root, name: `kubeconfig-${name}` };
  await clusters().create({ metadata: { name }, spec: { network: "main", kubeconfigSecret, ...spec } });
}

/** Waits until a condition of a cluster has a reason; returns its message. */
async function says(name: string, type: string, reason: string): Promise<string> {
  return eventually(`${name} says ${type} ${reason}`, async () => {
    const { status } = await clusters().get({ name });
    const found = status?.conditions?.find((each) => each.type === type);
    if (found?.reason !== reason) throw new Error(`it says ${found?.reason}: ${found?.message}`);
    return found.message ?? "";
  });
}

beforeEach(async () => {
  for (const { metadata } of (await clusters().list()).items) await clusters().delete(metadata);
  const secrets = mesh.of(secretKind);
  for (const { metadata } of (await secrets.list({ namespace: root })).items) await secrets.delete(metadata);
});

test("clusters join by kubeconfigs in Secrets, each in one step, and leave in one", async () => {
  await using world = new MemberWorld(mesh, true, clock);
  await using east = await ApiFront.of(server.url("east"), authority);
  await using west = await ApiFront.of(server.url("west"), authority);
  await addEndpoint("east", "b", "10.1.0.2");
  await putCluster("east");
  expect(await says("east", "Reachable", "NoSecret")).toContain("there is no Secret istio-system/kubeconfig-east");
  await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(east) });
  await world.become("10.1.0.1 10.1.0.2");
  await says("east", "Ready", "Following");
  await putSecret("kubeconfig-west", { kubeconfig: kubeconfig(west) });
  await putCluster("west");
  await world.become("10.1.0.1 10.1.0.2 10.2.0.1");
  await clusters().delete({ name: "east" });
  await world.become("10.2.0.1");
  expect(world.seen).toEqual(["10.1.0.1 10.1.0.2", "10.1.0.1 10.1.0.2 10.2.0.1", "10.2.0.1"]);
  const asked = east.asked.length;
  await removeEndpoint("east", "b");
  await systemClock.sleep(50);
  expect(east.asked).toHaveLength(asked);
});

test("credentials change without a gap; such as do not work, or lead elsewhere, are not taken", async () => {
  await using world = new MemberWorld(mesh, true, clock);
  await using east = await ApiFront.of(server.url("east"), authority);
  await using west = await ApiFront.of(server.url("west"), authority);
  await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(east) });
  await putCluster("east");
  await world.become("10.1.0.1");
  await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(east, "wrong") });
  expect(await says("east", "Reachable", "CredentialsNotUsed")).toContain("Unauthorized");
  await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(west) });
  await eventually("it says that it is another cluster", async () =>
    (await says("east", "Reachable", "CredentialsNotUsed")).includes("leads to another cluster"),
  );
  // One that does not tell which cluster it is may be another as well.
  west.forbidden.add("kube-system");
  await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(west), other: "" });
  await eventually("it says that it is not known to be the same", async () =>
    (await says("east", "Reachable", "CredentialsNotUsed")).includes("does not tell any more which cluster it is"),
  );
  await putSecret("kubeconfig-east", { kubeconfig: "users: [" });
  expect(await says("east", "Reachable", "KubeconfigInvalid")).toContain(
    "is not YAML; the credentials before are still used",
  );
  // A second way to the same cluster, where the first credentials are worth nothing.
  await using other = await ApiFront.of(server.url("east"), authority);
  other.token = "renewed";
  await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(other, "renewed") });
  await says("east", "Reachable", "Reachable");
  east.behave({ kind: "away" });
  await addEndpoint("east", "c", "10.1.0.3");
  await world.become("10.1.0.1 10.1.0.3");
  await removeEndpoint("east", "c");
  await world.become("10.1.0.1");
  // Another may answer at the address that was good.
  other.target = server.url("west");
  other.forbidden.add("kube-system");
  other.behave({ kind: "well" });
  await says("east", "Reachable", "NotAllowed");
  other.target = server.url("east");
  other.forbidden.clear();
  other.behave({ kind: "well" });
  await says("east", "Reachable", "Reachable");
  expect(world.seen).toEqual(["10.1.0.1", "10.1.0.1 10.1.0.3", "10.1.0.1"]);
});

test("a cluster that is away is led to for its time, then not, and again when it is back", async () => {
  await using world = new MemberWorld(mesh, true, clock);
  await using east = await ApiFront.of(server.url("east"), authority);
  await using west = await ApiFront.of(server.url("west"), authority);
  await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(east) });
  await putSecret("kubeconfig-west", { kubeconfig: kubeconfig(west) });
  await putCluster("east", { unreachableTolerationSeconds: 3600 });
  await putCluster("west");
  await world.become("10.1.0.1 10.2.0.1");
  east.behave({ kind: "away" });
  expect(await says("east", "Ready", "Unreachable")).toMatch(/its last known endpoints are called until \d{4}-/);
  expect(world.addresses).toBe("10.1.0.1 10.2.0.1");
  await clusters().patch({ name: "east" }, { kind: "merge", body: { spec: { unreachableTolerationSeconds: 0 } } });
  await world.become("10.2.0.1");
  expect(await says("east", "Ready", "Away")).toContain("callers in other clusters are not led to it");
  await says("east", "Drained", "Away");
  await addEndpoint("east", "d", "10.1.0.4");
  east.behave({ kind: "well" });
  await world.become("10.1.0.1 10.1.0.4 10.2.0.1");
  await says("east", "Ready", "Following");
  await removeEndpoint("east", "d");
});

test("a draining cluster is not led to, and says when all proxies know", async () => {
  await using world = new MemberWorld(mesh, true, clock);
  await using east = await ApiFront.of(server.url("east"), authority);
  await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(east) });
  await putCluster("east");
  await world.become("10.1.0.1");
  await clusters().patch({ name: "east" }, { kind: "merge", body: { spec: { draining: true } } });
  await world.become("");
  await says("east", "Drained", "Drained");
  await clusters().patch({ name: "east" }, { kind: "merge", body: { spec: { draining: false } } });
  await world.become("10.1.0.1");
  await says("east", "Ready", "Following");
  expect(world.seen).toEqual(["10.1.0.1", "", "10.1.0.1"]);
});

/** A clock on which limits of requests pass soon, too. */
const soon: Clock = {
  ...systemClock,
  sleep: async (ms, signal) => systemClock.sleep(ms / 10, signal),
  after: (ms, action) => systemClock.after(ms / 10, action),
};

/** Lines of a watch that are no news of an object. */
const senseless = [
  "<html>sign in</html>",
  `{"type":"NEWS","object":{"metadata":{"name":"a","uid":"u","resourceVersion":"1"}}}`,
  `{"type":"DELETED","object":{"metadata":{"name":"a"}}}`,
  `{"type":"ADDED","object":null}`,
];

describe("what does not work says why, and touches nothing", () => {
  test("a weak kubeconfig, an API that is too busy, one that answers with anything", async () => {
    await using world = new MemberWorld(mesh, true, clock);
    await using west = await ApiFront.of(server.url("west"), authority);
    await using east = await ApiFront.of(server.url("east"), authority);
    await putSecret("kubeconfig-west", { kubeconfig: kubeconfig(west) });
    await putCluster("west");
    await world.become("10.2.0.1");
    east.forbidden.add("endpointslices");
    await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(east) });
    await putCluster("east");
    expect(await says("east", "Synced", "NotAllowed")).toMatch(
      /^endpointslices cannot be followed: .*no endpointslices/,
    );
    expect(world.addresses).toBe("10.2.0.1");
    east.behave({ kind: "answer", status: 429, headers: { "retry-after": "60" } });
    await says("east", "Reachable", "Busy");
    for (const text of ["", "{}", "<html>", `{"metadata":{"resourceVersion":"1"},"items":[]}`]) {
      east.behave({ kind: "answer", status: 200, text });
      await says("east", "Reachable", "Unreachable");
    }
    east.forbidden.clear();
    east.behave({ kind: "well" });
    await world.become("10.1.0.1 10.2.0.1");
    for (const text of ["", "{}", `{"metadata":{"resourceVersion":"1"},"items":[]}`]) {
      east.behave({ kind: "answer", status: 200, text });
      await says("east", "Reachable", "Unreachable");
    }
    east.token = "another";
    east.behave({ kind: "well" });
    expect(await says("east", "Reachable", "CredentialsRefused")).toContain("put new ones into the kubeconfig");
    expect(world.seen).toEqual(["10.2.0.1", "10.1.0.1 10.2.0.1"]);
  });

  test("an API that hangs half-way through its answers, and one whose watches tell what makes no sense", async () => {
    await using world = new MemberWorld(mesh, true, soon);
    await using west = await ApiFront.of(server.url("west"), authority);
    await using east = await ApiFront.of(server.url("east"), authority);
    await putSecret("kubeconfig-west", { kubeconfig: kubeconfig(west) });
    await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(east) });
    await putCluster("west");
    await world.become("10.2.0.1");
    await putCluster("east");
    await world.become("10.1.0.1 10.2.0.1");
    for (const text of ["", `{"metadata":{"resourceVersion":"1"},"items":[`]) {
      east.behave({ kind: "hang", text });
      expect(await says("east", "Reachable", "Unreachable")).toMatch(/no answer from https:.* in \d+ ms/);
      east.behave({ kind: "well" });
      await says("east", "Ready", "Following");
    }
    for (const text of senseless) {
      east.behave({ kind: "watch", text: `${text}\n` });
      const told = async (): Promise<boolean> =>
        (await says("east", "Synced", "Unreachable")).includes("the watch sent");
      await eventually(`it says what ${text} is`, told);
      east.behave({ kind: "well" });
      await says("east", "Ready", "Following");
    }
    await addEndpoint("east", "e", "10.1.0.5");
    await world.become("10.1.0.1 10.1.0.5 10.2.0.1");
    await removeEndpoint("east", "e");
    await world.become("10.1.0.1 10.2.0.1");
    const all = ["10.2.0.1", "10.1.0.1 10.2.0.1", "10.1.0.1 10.1.0.5 10.2.0.1", "10.1.0.1 10.2.0.1"];
    expect(world.seen).toEqual(all);
  });

  test("an object that names a socket of the control plane's machine, where its users are not the mesh's", async () => {
    await using world = new MemberWorld(mesh, false, clock);
    await using listener = await SocketListener.open();
    await clusters().create({ metadata: { name: "east" }, spec: { network: "main", server: listener.url } });
    expect(await says("east", "Reachable", "NoServer")).toContain("spec.server must not be a Unix socket here");
    expect(world.seen).toEqual([]);
    expect(listener.connections).toBe(0);
  });

  test("one cluster by two names: the older one counts, until it leaves", async () => {
    await using world = new MemberWorld(mesh, true, clock);
    await using east = await ApiFront.of(server.url("east"), authority);
    await putSecret("kubeconfig-east", { kubeconfig: kubeconfig(east) });
    await putCluster("east");
    await world.become("10.1.0.1");
    // Ages are told in seconds.
    await systemClock.sleep(1100);
    await putCluster("again", { kubeconfigSecret: { namespace: root, name: "kubeconfig-east" } });
    expect(await says("again", "Synced", "SameCluster")).toContain("it is the cluster east");
    expect(world.seen).toEqual(["10.1.0.1"]);
    await clusters().delete({ name: "east" });
    await eventually("the older one has left", () => world.members.standing("east") === undefined);
    await clusters().patch({ name: "again" }, { kind: "merge", body: { metadata: { labels: { looked: "at" } } } });
    await says("again", "Synced", "Synced");
    await world.become("10.1.0.1");
  });
});

test("Istio's remote secrets join clusters; a Cluster of the name goes before them", async () => {
  await using world = new MemberWorld(mesh, true, clock);
  await using east = await ApiFront.of(server.url("east"), authority);
  await using west = await ApiFront.of(server.url("west"), authority);
  const label = { "istio/multiCluster": "true" };
  await putSecret("istio-remote-secret-west", { west: kubeconfig(west) }, label);
  await putSecret("unlabelled", { east: kubeconfig(east) });
  await world.become("10.2.0.1");
  expect([...world.members.clients().keys()]).toEqual(["west"]);
  await putSecret("kubeconfig-west", { kubeconfig: kubeconfig(west) });
  await putCluster("west", { network: "mine" });
  await says("west", "Ready", "Following");
  await eventually("its network is the Cluster's", () => world.model.tables.clusters.get("west")?.network === "mine");
  await clusters().delete({ name: "west" });
  await eventually("its network is none", () => world.model.tables.clusters.get("west")?.network === "");
  expect(world.seen).toEqual(["10.2.0.1"]);
  const refusals = (): number => world.warnings.filter((line) => line.includes("joins no cluster")).length;
  for (const times of [1, 2]) {
    await putSecret("younger", { west: kubeconfig(west) }, label);
    await eventually("a second Secret of one cluster is told", () => refusals() === times);
    await mesh.of(secretKind).delete({ namespace: root, name: "younger" });
    await eventually(
      "it is gone",
      async () => (await mesh.of(secretKind).find({ namespace: root, name: "younger" })) === undefined,
    );
    // It is seen to be gone with whatever comes after it.
    await putSecret("after", { other: kubeconfig(west) }, label);
    await eventually("the one after is seen", () => world.members.standing("other") !== undefined);
    await mesh.of(secretKind).delete({ namespace: root, name: "after" });
    await eventually("that is gone too", () => world.members.standing("other") === undefined);
  }
  await mesh.of(secretKind).delete({ namespace: root, name: "istio-remote-secret-west" });
  await world.become("");
});

test("a remote secret that is wrong stands in the Mesh with its key and what to do, and what was good before serves on", async () => {
  await using world = new MemberWorld(mesh, true, clock);
  await using west = await ApiFront.of(server.url("west"), authority);
  const meshes = mesh.of<Mesh>(meshKind);
  await meshes.create({ metadata: { name: "told" }, spec: { trustDomain: "cluster.local" } });
  const stop = new AbortController();
  const status = new MeshStatusWriter({
    client: mesh,
    mesh: "told",
    proxies: () => undefined,
    authority: () => undefined,
    remoteSecrets: () => world.members.remoteProblems(),
    clock: systemClock,
    logger: jsonLogger({ level: "error", write: () => undefined, now: () => systemClock.now() }),
  });
  const running = status.run(stop.signal);
  const said = async (): Promise<string | undefined> => {
    const { conditions = [] } = (await meshes.get({ name: "told" })).status ?? {};
    const found = conditions.find(({ type }) => type === "RemoteSecretsAccepted");
    return found && `${found.status} ${found.message ?? ""}`;
  };
  const saying = (what: string): Promise<unknown> =>
    eventually(`it is said: ${what}`, async () => (await said())?.includes(what), 60_000);
  const place = { namespace: root, name: "istio-remote-secret-west" };
  const write = (key: string, text: string | null): Promise<unknown> =>
    mesh.of(secretKind).patch(place, {
      kind: "merge",
      body: { data: { [key]: text === null ? null : Buffer.from(text).toString("base64") } },
    });
  const label = { "istio/multiCluster": "true" };
  await putSecret(place.name, { west: kubeconfig(west) }, label);
  await world.become("10.2.0.1");
  const secret = `Secret ${root}/${place.name}, key`;
  // Another key of the same Secret: each is a cluster of its own.
  await write("lost", "clusters: [");
  await saying(`False ${secret} lost: KubeconfigInvalid`);
  await write("west", kubeconfig(west).replace(/server: .*/, "server: nowhere"));
  await saying(`${secret} west: KubeconfigInvalid`);
  await saying("the credentials before are still used");
  await saying("put a kubeconfig that works there (istioctl create-remote-secret), or remove the key");
  await putSecret("younger", { west: kubeconfig(west) }, label);
  await saying(
    `Secret ${root}/younger, key west: the cluster west is joined by the Secret ${root}/${place.name} already`,
  );
  await mesh
    .of(secretKind)
    .patch({ namespace: root, name: "younger" }, { kind: "merge", body: { data: { west: null } } });
  await saying(`Secret ${root}/younger has the label istio/multiCluster and no key`);
  expect(world.seen).toEqual(["10.2.0.1"]);
  await mesh.of(secretKind).delete({ namespace: root, name: "younger" });
  await write("lost", null);
  await write("west", kubeconfig(west));
  await eventually("nothing is wrong any more", async () => (await said()) === "True ", 60_000);
  expect(world.seen).toEqual(["10.2.0.1"]);
  stop.abort();
  await running;
  await meshes.delete({ name: "told" });
  await mesh.of(secretKind).delete(place);
  await world.become("");
});
