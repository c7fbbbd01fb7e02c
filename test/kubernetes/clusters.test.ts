/** Clusters that join and leave a mesh by `weft cluster`, against real API servers. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { configMap } from "#api/kubernetes/config-map.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { node as nodeKind } from "#api/kubernetes/node.ts";
import { clusterRole, clusterRoleBinding } from "#api/kubernetes/rbac.ts";
import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { type Cluster as Member, cluster as memberKind } from "#api/weft/cluster.ts";
import { type TestServer, startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { defaultLifetimes } from "#identity/settings.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { startDiscovery } from "../kube/discovery.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { type Ended, weftCluster } from "./joined-mesh.ts";

const root = "istio-system";
const patience = 60_000;
const folder = mkdtempSync(join(tmpdir(), "weft-clusters-"));
const path = (name: string): string => join(folder, name);
const resources = new AsyncDisposableStack();
let mesh: Client;
let server: TestServer;
let east: Cluster;
let west: Cluster;

beforeAll(async () => {
  server = resources.use(await startTestServer());
  mesh = new Client(resources.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
  await mesh.of(namespaceKind).create({ metadata: { name: root } });
  const address = { url: server.url("mesh") };
  writeFileSync(
    path("mesh"),
    formatKubeconfig([{ name: "m", cluster: "m", user: "m", namespace: "default", server: address }]),
  );
  const identity = {
    names: ["istiod.istio-system.svc"],
    authorityKey: "P-256",
    nodeAccounts: [],
    tokens: "keys",
    lifetimes: defaultLifetimes,
  } as const;
  resources.use(
    startDiscovery(server, folder, { xds: [{ socketPath: path("tls.sock"), tls: true }], identity, startLimitMs: 100 }),
  );
  east = resources.use(await startCluster({ name: "east" }));
  west = resources.use(await startCluster({ name: "west" }));
  for (const cluster of [east, west]) {
    writeFileSync(path(cluster.name), cluster.kubeconfig());
    // A node without a machine: what matters is its range of addresses, of which both clusters give the same.
    await cluster.api.client.of(nodeKind).create({ metadata: { name: "n1" } });
    await eventually("it has a range", async () => rangeOf(cluster), patience);
  }
});
afterAll(async () => {
  await resources.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
});

async function rangeOf(cluster: Cluster): Promise<string | undefined> {
  const { spec } = (await cluster.api.client.of(nodeKind).get({ name: "n1" })) as {
    readonly spec?: { podCIDR?: string };
  };
  return spec?.podCIDR;
}

const weft = (command: string, killedAt?: string): Promise<Ended> => weftCluster(command, path("mesh"), killedAt);

async function succeeds(command: string): Promise<string> {
  const { out, code } = await weft(command);
  if (code !== 0) throw new Error(`weft cluster ${command} ended with ${code}:\n${out}`);
  return out;
}

/** All that a join could leave behind. */
async function traces(cluster: Cluster): Promise<readonly string[]> {
  const kinds = [namespaceKind, serviceAccount, secretKind, configMap, clusterRole, clusterRoleBinding];
  const lists = kinds.map(async (kind) => {
    const { items } = await cluster.api.client.of(kind).list();
    return items.map(({ metadata }) => `${kind.kind} ${metadata.namespace ?? ""}/${metadata.name}`);
  });
  return (await Promise.all(lists)).flat().toSorted();
}

async function become(cluster: Cluster, before: readonly string[]): Promise<void> {
  await eventually(
    `${cluster.name} has nothing of the mesh`,
    async () => {
      expect(await traces(cluster)).toEqual(before);
      return true;
    },
    patience,
  );
}

async function says(name: string, type: string, reason: string): Promise<string> {
  const check = async (): Promise<string> => {
    const { status } = await mesh.of<Member>(memberKind).get({ name });
    const found = status?.conditions?.find((each) => each.type === type);
    if (found?.reason !== reason) throw new Error(`it says ${found?.reason}: ${found?.message}`);
    return found.message ?? "";
  };
  return eventually(`${name} says ${type} ${reason}`, check, patience);
}

test("a cluster joins with the least rights, stands through what happens to its API, and leaves without a trace", async () => {
  const before = await traces(east);
  const joined = await succeeds(`add east --kubeconfig ${path("east")} --network main`);
  expect(joined).toMatch(/ok {2}reachable .*\n.*ok {2}identity .*\n.*ok {2}version .*v1\.36/);
  expect(joined).toContain("east has joined the mesh");
  // With its own rights alone the control plane has read everything, and published its roots.
  await says("east", "Ready", "Following");
  const roots = async (): Promise<boolean> =>
    (await east.api.client.of(configMap).find({ namespace: "default", name: "istio-ca-root-cert" })) !== undefined;
  await eventually("the roots are published", roots, patience);
  const account = "system:serviceaccount:istio-system:weft-control-plane";
  for (const [verb, what] of [
    ["create", "pods"],
    ["delete", "configmaps"],
    ["update", "secrets"],
    ["create", "clusterrolebindings"],
  ]) {
    expect((await east.kubectl(`auth can-i ${verb} ${what} --as ${account} -n ${root}`)).stdout.trim()).toBe("no");
  }
  for (const namespace of [root, "default"]) {
    // kubectl auth can-i knows no kind that the cluster does not have.
    const resourceAttributes = { verb: "create", group: "networking.istio.io", resource: "gateways", namespace };
    const spec = { user: account, resourceAttributes };
    const review = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
    const asked = await east.kubectl("create -f - -o jsonpath={.status.allowed}", { input: JSON.stringify(review) });
    expect(`${namespace}: ${asked.stdout}`).toBe(`${namespace}: ${namespace === root}`);
  }
  expect(await succeeds("list")).toMatch(/^east +Ready +main +v1\.36\.3 +1 +10\.64\./m);

  expect((await weft(`add east --kubeconfig ${path("east")}`)).out).toContain("east is a member already");
  const twice = await weft(`add again --kubeconfig ${path("east")} --network other`);
  expect(twice.out).toContain("this cluster is the member east already");
  expect(twice.code).toBe(1);

  await east.controlPlane.apiServer.stop();
  expect(await says("east", "Ready", "Unreachable")).toContain("its last known endpoints are called until");
  east.controlPlane.apiServer.start();
  await says("east", "Ready", "Following");

  await succeeds(`remove east --kubeconfig ${path("east")}`);
  expect(await succeeds("list")).toContain("the mesh has no clusters");
  await become(east, before);
});

test("what keeps a cluster from joining is said, and changes nothing", async () => {
  const before = await traces(west);
  await succeeds(`add east --kubeconfig ${path("east")} --network main`);
  const overlapping = await weft(`add west --kubeconfig ${path("west")} --network main`);
  expect(overlapping.code).toBe(1);
  expect(overlapping.out).toMatch(/!! {2}addresses .*east has 10\.64\..*--network/);
  writeFileSync(path("weak"), west.kubeconfig({ name: "weak" }));
  const weak = await weft(`add west --kubeconfig ${path("weak")} --network other`);
  expect(weak.out).toMatch(/!! {2}permissions .*may not create namespaces.*cluster administrator/);
  const wrong = formatKubeconfig([
    {
      name: "x",
      cluster: "x",
      user: "x",
      namespace: "default",
      server: { ...east.address(), url: west.address().url },
    },
  ]);
  writeFileSync(path("wrong"), wrong);
  expect((await weft(`add west --kubeconfig ${path("wrong")}`)).out).toMatch(/!! {2}reachable .*certificate/i);
  expect(await traces(west)).toEqual(before);
  await succeeds(`check west --kubeconfig ${path("west")} --network other`);
  await succeeds(`remove east --kubeconfig ${path("east")}`);
});

test("a join that is killed is finished by the same again, one that fails takes back what it did", async () => {
  const before = await traces(west);
  const add = `add west --kubeconfig ${path("west")} --network main`;
  await weft(add, "ok  make the control plane's account");
  expect(await succeeds("list")).toContain("west   Joining (not finished)");
  expect(await succeeds(add)).toContain("going on with the join of west that did not finish");
  await says("west", "Ready", "Following");
  // Credentials that were taken back are as good as ended ones.
  await west.api.client.of<Secret>(secretKind).delete({ namespace: root, name: "weft-control-plane-token" });
  expect(await says("west", "Reachable", "CredentialsRefused")).toContain("put new ones into the kubeconfig");
  await weft(`remove west --kubeconfig ${path("west")} --force`, "ok  take the control plane's rights");
  await succeeds(`remove west --kubeconfig ${path("west")} --force`);
  await become(west, before);
  const failed = await weft(`${add} --server https://127.0.0.1:1 --timeout 2`);
  expect(failed.out).toMatch(/is not Ready after 2 s \(Unreachable: .*mend that, and join again/);
  expect(failed.out).toContain("undo: make the control plane's account in the cluster");
  await become(west, before);
  expect(await succeeds("list")).toContain("the mesh has no clusters");
});
