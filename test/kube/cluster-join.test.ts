import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { configMap } from "#api/kubernetes/config-map.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { authorityVersion } from "#api/kubernetes/proxy-trust.ts";
import { clusterRole, clusterRoleBinding, role } from "#api/kubernetes/rbac.ts";
import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { type TestServer, startTestServer, tlsOf } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { hastyClock } from "#base/testing/hasty-clock.ts";
import { joinSteps } from "#controllers/clusters/join.ts";
import { leaveSteps } from "#controllers/clusters/leave.ts";
import { Membership, joiningAnnotation } from "#controllers/clusters/membership.ts";
import { Presence } from "#controllers/clusters/presence.ts";
import { type Step, carryOut } from "#controllers/clusters/steps.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { eventually } from "../support/eventually.ts";
import { ApiFront } from "./api-front.ts";
import { MemberWorld, root } from "./member-world.ts";

type TestTls = ReturnType<typeof tlsOf>;

let server: TestServer;
let mesh: Client;
let east: Client;
let front: ApiFront;
const authority = createAuthority("east's API");
/** Each join waits again and again for what others do a moment later. */
const clock = hastyClock(10);
const stop = new AbortController();
vi.setConfig({ testTimeout: 180_000 });
const resources = new AsyncDisposableStack();

beforeAll(async () => {
  server = resources.use(await startTestServer({ access: {} }));
  const administrator = { name: "admin", groups: ["system:masters"] };
  const tls = (endpoint: string): TestTls => tlsOf(server.server.authorities.get(endpoint)!, administrator);
  const client = (endpoint: string): Client => {
    const { ca, cert: certificate, key } = tls(endpoint);
    const address = { url: server.url(endpoint), ca, ...(certificate && key && { certificate, key }) };
    return new Client(resources.use(new Connection(address, { clock: systemClock })));
  };
  [mesh, east] = [client("mesh"), client("east")];
  await mesh.of(namespaceKind).create({ metadata: { name: root } });
  await east.of(namespaceKind).create({ metadata: { name: "shop" } });
  front = resources.use(await ApiFront.of(server.url("east"), authority, tls("east")));
  resources.use(new MemberWorld(mesh, true, clock));
  const tokens = giveTokens();
  resources.defer(async () => {
    stop.abort();
    await tokens;
  });
});
afterAll(() => resources.disposeAsync());

/** Does what a cluster's controller of tokens does. */
async function giveTokens(): Promise<void> {
  const secrets = east.of<Secret>(secretKind);
  while (!stop.signal.aborted) {
    const { items } = await secrets.list();
    for (const { metadata, type, data } of items) {
      if (type !== "kubernetes.io/service-account-token" || data?.["token"]) continue;
      const body = { data: { token: Buffer.from(front.token).toString("base64") } };
      await secrets.patch({ namespace: root, name: metadata.name }, { kind: "merge", body }).catch(() => undefined);
    }
    await systemClock.sleep(20);
  }
}

/** All that a join could leave behind, in the cluster and in the mesh. */
async function everything(): Promise<readonly string[]> {
  const names = async (client: Client, of: string): Promise<readonly string[]> => {
    const both = [namespaceKind, secretKind, configMap, clusterRole, clusterRoleBinding];
    const lists = [...both, of === "mesh" ? clusterKind : serviceAccount].map(async (kind) => {
      const { items } = await client.of(kind).list();
      return items.map(({ metadata }) => `${of}: ${kind.kind} ${metadata.namespace ?? ""}/${metadata.name}`);
    });
    return (await Promise.all(lists)).flat();
  };
  return [...(await names(mesh, "mesh")), ...(await names(east, "east"))].toSorted();
}

/** Waits until there is what there was: namespaces take a moment to end. */
async function become(before: readonly string[]): Promise<void> {
  await eventually(
    "nothing is left",
    async () => {
      expect(await everything()).toEqual(before);
      return true;
    },
    60_000,
  );
}

interface Operation {
  readonly join: () => readonly Step[];
  readonly leave: () => readonly Step[];
}

async function operation(): Promise<Operation> {
  const membership = new Membership(mesh, "east", clock);
  const presence = new Presence(east, { cluster: "east", mesh: await membership.mesh() }, clock);
  const common = { membership, presence, limitMs: 60_000, told: () => undefined, signal: stop.signal };
  const address = { url: front.url, ca: authority.certificate };
  return {
    join: () => joinSteps({ ...common, place: { network: "main" }, address }),
    leave: () => leaveSteps({ ...common, drains: true }),
  };
}

const quiet = { begun: () => undefined, done: () => undefined, failed: () => undefined };

async function run(steps: readonly Step[]): Promise<void> {
  for (const step of steps) await step.run();
}

/** Steps of which one fails when it has done its part. */
function failing(steps: readonly Step[], at: number): readonly Step[] {
  return steps.map((step, index) =>
    index === at
      ? {
          ...step,
          run: async () => {
            await step.run();
            throw new Error("told to fail");
          },
        }
      : step,
  );
}

/** What the control plane writes into each namespace of a member. */
async function publishRoots(): Promise<void> {
  const metadata = { namespace: "shop", name: "istio-ca-root-cert", annotations: { [authorityVersion]: "1" } };
  await east.of(configMap).create({ metadata, data: { "root-cert.pem": "" } });
}

const find = async (): Promise<Cluster | undefined> => mesh.of<Cluster>(clusterKind).find({ name: "east" });

test("a join that fails at any step leaves nothing behind", async () => {
  const before = await everything();
  const { join } = await operation();
  for (let at = 0; at < join().length; at += 1) {
    await expect(carryOut(failing(join(), at), quiet)).rejects.toThrow("told to fail");
    await become(before);
  }
});

test("a join that is cut off at any step is finished by the same again, and so is leaving", async () => {
  const before = await everything();
  const { join, leave } = await operation();
  for (let at = 0; at < join().length; at += 1) {
    await run(join().slice(0, at));
    expect((await find())?.metadata.annotations?.[joiningAnnotation]).toBe(at === 0 ? undefined : "true");
    await carryOut(join(), quiet);
    const joined = await find();
    expect(joined?.metadata.annotations?.[joiningAnnotation]).toBeUndefined();
    expect(joined?.status?.conditions?.find(({ type }) => type === "Ready")?.status).toBe("True");
    await publishRoots();
    await run(leave().slice(0, Math.min(at, leave().length - 1)));
    expect(await find()).toBeDefined();
    await carryOut(leave(), quiet);
    await become(before);
  }
});

test("what is there and is somebody else's is neither taken over nor removed", async () => {
  await east.of(clusterRole).create({ metadata: { name: "weft-control-plane" }, rules: [] });
  const before = await everything();
  const { join, leave } = await operation();
  await expect(carryOut(join(), quiet)).rejects.toThrow(
    /ClusterRole weft-control-plane .*that this join did not make: remove it/,
  );
  await become(before);
  await run(leave().slice(1));
  expect(await everything()).toEqual(before);
  await east.of(clusterRole).delete({ name: "weft-control-plane" });
});

test("the namespace that a join made stays while somebody has anything in it", async () => {
  const before = await everything();
  const { join, leave } = await operation();
  await carryOut(join(), quiet);
  const theirs = { namespace: root, name: "theirs" };
  await east.of(role).create({ metadata: theirs, rules: [] });
  await carryOut(leave(), quiet);
  const made = await east.of(namespaceKind).get({ name: root });
  expect(made.metadata.deletionTimestamp).toBeUndefined();
  await east.of(role).delete(theirs);
  await east.of(namespaceKind).delete({ name: root });
  await become(before);
});

test("leaving ends, and says what to do, where somebody else let the control plane in", async () => {
  const membership = new Membership(mesh, "east", systemClock);
  const presence = new Presence(east, { cluster: "east", mesh: await membership.mesh() }, systemClock, 200);
  const writing = new AbortController();
  await publishRoots();
  const writer = (async () => {
    while (!writing.signal.aborted) {
      await publishRoots().catch(() => undefined);
      await systemClock.sleep(5);
    }
  })();
  await expect(presence.clean(stop.signal)).rejects.toThrow(/goes on writing ConfigMaps .*Take away the account/);
  writing.abort();
  await writer;
  await presence.clean(stop.signal);

  expect(await membership.otherwise(undefined)).toBeUndefined();
  const kubeconfigSecret = { namespace: root, name: "by-hand" };
  const cluster = await mesh
    .of<Cluster>(clusterKind)
    .create({ metadata: { name: "east" }, spec: { kubeconfigSecret } });
  expect(await membership.otherwise(cluster)).toMatch(
    /Cluster east, which is reached by the Secret istio-system\/by-hand: weft cluster remove east --gone .*delete the Secret/,
  );
  await mesh.of(clusterKind).delete({ name: "east" });
  const metadata = { namespace: root, name: "remote", labels: { "istio/multiCluster": "true" } };
  await mesh.of(secretKind).create({ metadata, data: { east: "" } });
  expect(await membership.otherwise(undefined)).toContain("the remote secret istio-system/remote: delete that");
  await mesh.of(secretKind).delete(metadata);
});
