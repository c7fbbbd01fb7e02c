/** The mesh's API behind the API servers of member clusters. */
import { Agent } from "node:https";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock, type Clock } from "#base/clock.ts";
import { Authority } from "../pki/authority.ts";
import type { ServedMember } from "./apis.ts";
import type { NamespaceHolder } from "./member.ts";
import { createNamespace } from "../testing/objects.ts";
import { TestMember } from "../testing/member.ts";
import { startTestServer, type Json, type TestServer } from "../testing/server.ts";

const routes = (host: string): object => ({ hosts: [host], http: [{ route: [{ destination: { host } }] }] });
const reviews = (more: object = {}): object => ({ metadata: { name: "reviews", ...more }, spec: routes("reviews") });
const ownedBy = (uid: string, kind = "Deployment", apiVersion = "apps/v1"): object => ({
  ownerReferences: [{ apiVersion, kind, name: "owner", uid }],
});
const collector = { "X-Remote-User": "system:serviceaccount:kube-system:generic-garbage-collector" };

const ticks: (() => void)[] = [];
/** Milliseconds that tests let pass. */
let later = 0;
/** A clock whose regular work is done when a test says so. */
const clock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() + later,
  every: (_, action) => {
    ticks.push(action);
    return { [Symbol.dispose]: () => undefined };
  },
};

let server: TestServer;
let members: DisposableStack;
/** East as it is served. */
let served: ServedMember;
let east: TestMember;
let west: TestMember;
/** Clusters of the mesh that are not served. */
let joined: readonly NamespaceHolder[];
let count = 0;
/** A namespace of each test's own, which both members have. */
let shop: string;
let services: string;

beforeAll(async () => {
  server = await startTestServer({
    access: {},
    clock,
    records: { perObject: 10, maxAgeMs: 1e9, most: 1000 },
    members: { listen: { host: "127.0.0.1", port: 0 }, clusters: async () => joined },
    endpoints: [{ name: "mesh", view: "mesh", partition: "mesh", listen: [{ host: "127.0.0.1", port: 0 }] }],
  });
});
afterAll(() => server[Symbol.asyncDispose]());

beforeEach(() => {
  const { members: apis } = server.server;
  if (apis === undefined) throw new Error("no members are served");
  count += 1;
  shop = `shop-${count}`;
  services = `/apis/networking.istio.io/v1/namespaces/${shop}/virtualservices`;
  members = new DisposableStack();
  joined = [];
  [east, west] = [new TestMember(apis, "east"), new TestMember(apis, "west")];
  for (const member of [east, west]) {
    member.namespaces.set(shop, "active");
    const added = members.use(apis.add(member));
    if (member === east) served = added;
  }
});
afterEach(() => members.dispose());

/** Lets some subject alone have the role of members' users; gives back what undoes it. */
async function onlyFor(subject: string | undefined): Promise<AsyncDisposable> {
  const path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/weft-members";
  const { json } = await server.ask("mesh", path);
  const put = async (subjects: object[]): Promise<void> => {
    const { metadata, ...binding } = (await server.ask("mesh", path)).json;
    expect((await server.ask("mesh", path, { method: "PUT", body: { ...binding, metadata, subjects } })).status).toBe(
      200,
    );
  };
  await put(subject === undefined ? [] : [{ ...json.subjects[0], name: subject }]);
  return { [Symbol.asyncDispose]: () => put(json.subjects) };
}

/** Lets users of members do everything that the mesh has a role for, until disposed of. */
async function grantAll(): Promise<AsyncDisposable> {
  const path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
  const body = {
    metadata: { name: "members-may-do-all" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "system:weft:members" }],
  };
  expect((await server.ask("mesh", path, { method: "POST", body })).status).toBe(201);
  return {
    [Symbol.asyncDispose]: async () => {
      await server.ask("mesh", `${path}/members-may-do-all`, { method: "DELETE" });
    },
  };
}

async function make(member: TestMember, object: object): Promise<Json> {
  const { status, json } = await member.ask(services, { method: "POST", body: object });
  expect(status).toBe(201);
  return json;
}

describe("the objects of the mesh", () => {
  test("are the same in all members and at the mesh's own endpoint", async () => {
    const made = await make(east, reviews());
    expect((await west.ask(`${services}/reviews`)).json).toEqual(made);
    expect((await server.ask("mesh", `${services}/reviews`)).json).toEqual(made);
    const stale = { ...made, spec: routes("stale") };
    const changed = { ...made, spec: routes("changed") };
    expect((await west.ask(`${services}/reviews`, { method: "PUT", body: changed })).status).toBe(200);
    expect((await east.ask(`${services}/reviews`, { method: "PUT", body: stale })).json).toMatchObject({
      reason: "Conflict",
    });
  });

  test("are all that members serve: nothing of Weft's own, of Kubernetes', and no reviews", async () => {
    const { json } = await east.ask("/apis");
    expect(json.groups.map(({ name }: Json) => name).toSorted()).toEqual([
      "extensions.istio.io",
      "networking.istio.io",
      "security.istio.io",
      "telemetry.istio.io",
    ]);
    await using _all = await grantAll();
    const paths = ["/apis/mesh.weft.dev/v1alpha1/clusters", `/api/v1/namespaces/${shop}/secrets`];
    for (const path of paths) expect((await east.ask(path)).status).toBe(404);
    const review = { method: "POST", body: { spec: { resourceAttributes: { verb: "get", resource: "pods" } } } };
    expect((await east.ask("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)).status).toBe(404);
  });

  test("are made only where the cluster has their namespace, and not while it deletes it", async () => {
    west.namespaces.set(shop, "terminating");
    const post = { method: "POST", body: reviews() };
    expect((await west.ask(services, post)).json).toMatchObject({
      reason: "Forbidden",
      message: expect.stringContaining("terminated"),
    });
    expect((await west.ask(services.replace(shop, "other"), post)).json).toMatchObject({
      reason: "NotFound",
      message: 'namespaces "other" not found',
    });
  });
});

describe("a request that a member passes on is believed", () => {
  const alice = { "X-Remote-User": "alice" };

  test("for a certificate of the authority that this member names, and of nobody else's", async () => {
    expect((await east.ask(services, { headers: alice })).status).toBe(200);
    const strangers = { none: null, "another name": east.proxyCertificate("kubelet"), "another member's": west.proxy };
    for (const [what, shown] of Object.entries(strangers)) {
      expect([what, (await east.ask(services, { headers: alice, shown })).status]).toEqual([what, 401]);
    }
    const self = Authority.open(undefined, "front proxy of east", systemClock);
    const forged = self.issueClient({ name: "front-proxy-client", groups: [] }, 1000);
    expect((await east.ask(services, { headers: alice, shown: forged })).status).toBe(401);
  });

  test("only under the name of a member", async () => {
    await expect(east.ask(services, { serverName: "weft-api-north.istio-system.svc" })).rejects.toThrow(/./);
  });

  test("not when it names nobody", async () => {
    expect((await east.ask(services, { headers: {} })).status).toBe(401);
  });

  test("not before it is known whom to believe, which is told", async () => {
    const trust = east.trusted;
    east.trusted = undefined;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { status, json } = await east.ask(services, { headers: alice, agent });
    expect({ status, message: json.message }).toMatchObject({
      status: 503,
      message: expect.stringContaining('cluster "east"'),
    });
    east.trusted = trust;
    for (const tick of ticks) tick();
    await expect
      .poll(async () => (await east.ask(services, { headers: alice, agent }).catch(() => undefined))?.status)
      .toBe(200);
    agent.destroy();
  });

  test("by a new authority, and not by the old one once it is trusted no more, not even over open connections", async () => {
    using watch = await east.watch(`${services}?watch=true&resourceVersion=1`);
    using kept = await east.watch(`${services}?watch=true&resourceVersion=1`);
    const next = Authority.open(undefined, "front proxy of east", systemClock);
    east.trusted = east.trustIn(east.authority, next);
    for (const tick of ticks) tick();
    await make(east, reviews());
    expect((await kept.next()).type).toBe("ADDED");
    east.trusted = east.trustIn(next);
    for (const tick of ticks) tick();
    expect((await watch.next()).type).toBe("ADDED");
    expect(await watch.next()).toBeUndefined();
    expect((await east.ask(services)).status).toBe(401);
    const shown = next.issueClient({ name: "front-proxy-client", groups: [] }, 60_000);
    expect((await east.ask(services, { shown })).status).toBe(200);
  });
});

describe("who of a member may do what", () => {
  const alice = {
    "X-Remote-User": "alice",
    "X-Remote-Group": ["devs", "system:authenticated"],
    "X-Remote-Uid": "7",
    "X-Remote-Extra-Example.org%2fteam": "blue",
  };

  test("is asked of the member's roles, once for a while", async () => {
    east.verdict = ({ resourceAttributes }) => ({ allowed: resourceAttributes.verb === "list", reason: "no role" });
    expect((await east.ask(services, { headers: alice })).status).toBe(200);
    await east.ask(services, { headers: alice });
    expect(east.reviews).toEqual([
      {
        user: "alice",
        uid: "7",
        groups: ["devs", "system:authenticated"],
        extra: { "example.org/team": ["blue"] },
        resourceAttributes: expect.objectContaining({
          verb: "list",
          group: "networking.istio.io",
          resource: "virtualservices",
          namespace: shop,
        }),
      },
    ]);
    expect((await east.ask(services, { headers: alice, method: "POST", body: reviews() })).json).toMatchObject({
      reason: "Forbidden",
      message: expect.stringContaining('User "alice" cannot create resource "virtualservices"'),
    });
  });

  test("who may patch but not create makes nothing by applying it", async () => {
    east.verdict = ({ resourceAttributes }) => ({ allowed: resourceAttributes.verb === "patch", reason: "" });
    const body = { apiVersion: "networking.istio.io/v1", kind: "VirtualService", ...reviews() };
    const apply = { method: "PATCH", type: "application/apply-patch+yaml", headers: alice, body };
    expect((await east.ask(`${services}/reviews?fieldManager=alice`, apply)).status).toBe(403);
  });

  test("is limited by the mesh's roles, which know users by their cluster", async () => {
    await using _narrow = await onlyFor("system:weft:member:west");
    expect((await west.ask(services, { headers: alice })).status).toBe(200);
    // Not even an administrator of the member, who is none of the mesh.
    expect((await east.ask(services)).json).toMatchObject({
      reason: "Forbidden",
      message: expect.stringContaining("the mesh's own roles"),
    });
  });

  test("cannot be said while the member cannot be asked, and nothing is done", async () => {
    east.away = true;
    const { status, json } = await east.ask(services, { headers: alice });
    expect({ status, message: json.message }).toEqual({
      status: 503,
      message: 'cluster "east" cannot be asked whether its user "alice" may do this: nobody answers',
    });
    east.away = false;
    expect((await east.ask(services, { headers: alice })).status).toBe(200);
  });

  test("ends a watch when the right to it is withdrawn", async () => {
    using watch = await east.watch(`${services}?watch=true&resourceVersion=1`, { headers: alice });
    await make(east, reviews());
    expect((await watch.next()).type).toBe("ADDED");
    await using _none = await onlyFor(undefined);
    for (const tick of ticks) tick();
    expect(await watch.next()).toBeUndefined();
  });

  test("is written to the object's history with the cluster", async () => {
    expect((await east.ask(services, { headers: alice, method: "POST", body: reviews() })).status).toBe(201);
    const { json } = await server.ask("mesh", `${services}/reviews/history`);
    expect(json.items[0].by).toMatchObject({
      user: "system:weft:member:east:alice",
      groups: expect.arrayContaining([
        "system:weft:member:east:devs",
        "system:weft:member:east",
        "system:weft:members",
      ]),
    });
  });
});

describe("owners in one member", () => {
  const seen = async (member: TestMember): Promise<Json> =>
    (await member.ask(`${services}/reviews`)).json.metadata.ownerReferences?.map(({ uid }: Json) => uid);

  test("are shown there alone, and stay when others write", async () => {
    await make(east, reviews(ownedBy("in-east")));
    expect([await seen(east), await seen(west)]).toEqual([["in-east"], undefined]);
    const { json } = await west.ask(`${services}/reviews`);
    const body = { ...json, metadata: { ...json.metadata, ...ownedBy("in-west") } };
    const put = await west.ask(`${services}/reviews`, { method: "PUT", body });
    expect(put.json.metadata.ownerReferences).toEqual([
      { apiVersion: "apps/v1", kind: "Deployment", name: "owner", uid: "in-west" },
    ]);
    expect([await seen(east), await seen(west)]).toEqual([["in-east"], ["in-west"]]);
    expect((await server.ask("mesh", `${services}/reviews`)).json.metadata.ownerReferences).toBeUndefined();
    const again = await west.ask(`${services}/reviews`, { method: "PUT", body: put.json });
    expect(again.json.metadata.resourceVersion).toBe(put.json.metadata.resourceVersion);
  });

  test("are each applied by a manager of one name in both, who takes nothing from the other", async () => {
    const apply = (member: TestMember, uid: string): Promise<{ readonly status: number }> =>
      member.ask(`${services}/reviews?fieldManager=operator`, {
        method: "PATCH",
        type: "application/apply-patch+yaml",
        body: { apiVersion: "networking.istio.io/v1", kind: "VirtualService", ...reviews(ownedBy(uid)) },
      });
    for (const round of [1, 2]) {
      for (const [member, uid] of [
        [east, "in-east"],
        [west, "in-west"],
      ] as const) {
        expect([round, (await apply(member, uid)).status]).toEqual([round, round === 1 && member === east ? 201 : 200]);
      }
    }
    expect([await seen(east), await seen(west)]).toEqual([["in-east"], ["in-west"]]);
    const { json } = await west.ask(`${services}/reviews`);
    expect(JSON.stringify(json.metadata.managedFields)).not.toContain("in-east");
    await east.ask(`${services}/reviews?fieldManager=operator`, {
      method: "PATCH",
      type: "application/apply-patch+yaml",
      body: { apiVersion: "networking.istio.io/v1", kind: "VirtualService", ...reviews() },
    });
    expect([await seen(east), await seen(west)]).toEqual([undefined, ["in-west"]]);
  });

  test("that are objects of the mesh are shown in all", async () => {
    const owner = await make(east, { metadata: { name: "owner" }, spec: routes("owner") });
    await make(east, reviews(ownedBy(owner.metadata.uid, "VirtualService", "networking.istio.io/v1")));
    expect([await seen(east), await seen(west)]).toEqual([[owner.metadata.uid], [owner.metadata.uid]]);
  });

  test("of the mesh's own kinds are shown at the mesh's endpoint alone, so that no member collects by them", async () => {
    await createNamespace(server, "mesh", shop);
    const body = { metadata: { name: "owner" } };
    const owner = await server.ask("mesh", `/api/v1/namespaces/${shop}/configmaps`, { method: "POST", body });
    const { uid } = owner.json.metadata;
    const own = await server.ask("mesh", services, { method: "POST", body: reviews(ownedBy(uid, "ConfigMap", "v1")) });
    expect(own.status).toBe(201);
    expect([await seen(east), await seen(west)]).toEqual([undefined, undefined]);
    const { json } = await west.ask(`${services}/reviews`);
    const put = { method: "PUT", body: { ...json, spec: routes("changed") } };
    expect((await west.ask(`${services}/reviews`, put)).status).toBe(200);
    const { ownerReferences } = (await server.ask("mesh", `${services}/reviews`)).json.metadata;
    expect(ownerReferences).toMatchObject([{ kind: "ConfigMap", uid }]);
    expect(ownerReferences).toHaveLength(1);
  });

  test("are forgotten when that member collects an object that others keep, which stays until they do", async () => {
    await make(east, reviews(ownedBy("in-east")));
    const patch = { method: "PATCH", type: "application/merge-patch+json", body: { metadata: ownedBy("in-west") } };
    expect((await west.ask(`${services}/reviews`, patch)).status).toBe(200);
    const { uid } = (await east.ask(`${services}/reviews`)).json.metadata;
    const collect = (member: TestMember): Promise<{ readonly status: number }> =>
      member.ask(`${services}/reviews`, { method: "DELETE", headers: collector, body: { preconditions: { uid } } });
    expect((await collect(east)).status).toBe(200);
    expect([await seen(east), await seen(west)]).toEqual([undefined, ["in-west"]]);
    expect((await collect(west)).status).toBe(200);
    expect((await east.ask(`${services}/reviews`)).status).toBe(404);
  });

  test("do not keep an object that somebody deletes", async () => {
    await make(east, reviews(ownedBy("in-east")));
    expect((await west.ask(`${services}/reviews`, { method: "DELETE" })).status).toBe(200);
    expect((await east.ask(`${services}/reviews`)).status).toBe(404);
  });
});

describe("a namespace that one member deletes", () => {
  const empty = async (member: TestMember): Promise<number> => {
    expect((await member.ask(services, { method: "DELETE" })).status).toBe(200);
    return (await member.ask(services)).json.items.length;
  };

  test("leaves the mesh's objects to another that has it, and takes them with the last one", async () => {
    await make(east, reviews());
    east.namespaces.set(shop, "terminating");
    expect(await empty(east)).toBe(0);
    expect((await west.ask(services)).json.items).toHaveLength(1);
    east.namespaces.delete(shop);
    west.namespaces.set(shop, "terminating");
    expect(await empty(west)).toBe(0);
    expect((await server.ask("mesh", services)).json.items).toHaveLength(0);
  });

  test("takes them when both delete it at once", async () => {
    await make(east, reviews());
    for (const member of [east, west]) member.namespaces.set(shop, "terminating");
    expect(await empty(east)).toBe(0);
    expect((await server.ask("mesh", services)).json.items).toHaveLength(0);
  });

  test("leaves them to the mesh itself, where it has the namespace", async () => {
    await createNamespace(server, "mesh", shop);
    await make(east, reviews());
    for (const member of [east, west]) member.namespaces.set(shop, "terminating");
    expect(await empty(east)).toBe(0);
    expect((await server.ask("mesh", services)).json.items).toHaveLength(1);
  });

  test("leaves them to a cluster that serves none of them, and while that cannot be asked", async () => {
    await make(east, reviews());
    for (const member of [east, west]) member.namespaces.set(shop, "terminating");
    const left = async (): Promise<number> => (await server.ask("mesh", services)).json.items.length;
    joined = [{ name: "north", namespace: async () => "active" }];
    expect([await empty(east), await left()]).toEqual([0, 1]);
    joined = [{ name: "north", namespace: async () => Promise.reject(new Error("nobody answers")) }];
    expect([await empty(east), await left()]).toEqual([0, 1]);
    joined = [{ name: "north", namespace: async () => "absent" }];
    expect([await empty(east), await left()]).toEqual([0, 0]);
  });

  test("goes where its controller is refused, and takes nothing with it", async () => {
    await make(east, reviews());
    for (const member of [east, west]) member.namespaces.set(shop, "terminating");
    const headers = { "X-Remote-User": "system:serviceaccount:kube-system:namespace-controller" };
    const clear = async (): Promise<unknown[]> => {
      const { status } = await east.ask(services, { method: "DELETE", headers });
      const { status: listed, json } = await east.ask(services, { headers });
      return [status, listed, json.items?.length];
    };
    {
      await using _nobody = await onlyFor(undefined);
      expect(await clear()).toEqual([200, 200, 0]);
      expect((await east.ask(`${services}/reviews`, { headers })).status).toBe(403);
    }
    later += 60_000;
    east.away = true;
    // It may be back in a moment.
    expect(await clear()).toEqual([503, 503, undefined]);
    later += 60_000;
    expect(await clear()).toEqual([200, 200, 0]);
    expect((await server.ask("mesh", services)).json.items).toHaveLength(1);
    // What that means is settled when it can be asked.
    east.away = false;
    east.namespaces.delete(shop);
    for (const tick of ticks) tick();
    await vi.waitFor(async () => expect((await server.ask("mesh", services)).json.items).toHaveLength(0), 60_000);
  });

  test("leaves them while it is in use, to who deletes them one and all there", async () => {
    await make(east, reviews());
    expect(await empty(east)).toBe(0);
    expect((await west.ask(services)).json.items).toHaveLength(0);
  });

  test("does not lose them when the mesh's own is deleted, which goes without them", async () => {
    await createNamespace(server, "mesh", shop);
    await make(east, reviews());
    const own = `/api/v1/namespaces/${shop}`;
    const body = { metadata: { name: "settings" } };
    expect((await server.ask("mesh", `${own}/configmaps`, { method: "POST", body })).status).toBe(201);
    for (const member of [east, west]) member.away = true;
    expect((await server.ask("mesh", own, { method: "DELETE" })).status).toBe(200);
    await vi.waitFor(
      async () => expect((await server.ask("mesh", `${own}/configmaps`)).json.items).toHaveLength(0),
      60_000,
    );
    expect((await server.ask("mesh", own)).json.status.phase).toBe("Terminating");
    for (const member of [east, west]) member.away = false;
    await vi.waitFor(async () => expect((await server.ask("mesh", own)).status).toBe(404), 60_000);
    expect((await west.ask(services)).json.items).toHaveLength(1);
    // They go with the last who has it.
    for (const member of [east, west]) member.namespaces.set(shop, "terminating");
    expect(await empty(east)).toBe(0);
    expect((await server.ask("mesh", services)).json.items).toHaveLength(0);
  });

  test("while the mesh was away takes them later, unless others keep it or cannot be asked", async () => {
    await make(east, reviews());
    const items = async (): Promise<number> => (await server.ask("mesh", services)).json.items.length;
    // It was noted, and is still going.
    east.namespaces.set(shop, "terminating");
    expect([await served.settleDeparture(shop), await items()]).toEqual([false, 1]);
    east.namespaces.delete(shop);
    expect([await served.settleDeparture(shop), await items()]).toEqual([true, 1]);
    west.away = true;
    expect([await served.settleDeparture(shop), await items()]).toEqual([false, 1]);
    west.away = false;
    west.namespaces.delete(shop);
    expect([await served.settleDeparture(shop), await items()]).toEqual([true, 0]);
    east.namespaces.set(shop, "active");
    await make(east, reviews());
    expect([await served.settleDeparture(shop), await items()]).toEqual([true, 1]);
  });
});
