import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { systemClock, type Clock } from "#base/clock.ts";
import { timestamp } from "#base/timestamp.ts";
import { configMap, created, createNamespace, pod } from "./testing/objects.ts";
import { startTestServer, type Json, type TestServer } from "./testing/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await createNamespace(server, "east", "a");
});
afterAll(() => server[Symbol.asyncDispose]());

const maps = "/api/v1/namespaces/a/configmaps";

function ownedBy(owner: Json, extra: object = {}): object {
  const { apiVersion, kind, metadata } = owner;
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, ...extra };
}

async function make(name: string, owners: readonly object[] = [], metadata: object = {}): Promise<Json> {
  return (await created(server, "east", maps, configMap(name, {}, { ownerReferences: owners, ...metadata }))).json;
}

async function get(name: string): Promise<Json> {
  const { status, json } = await server.ask("east", `${maps}/${name}`);
  return status === 404 ? undefined : json;
}

function remove(name: string, propagationPolicy: string): ReturnType<TestServer["ask"]> {
  return server.ask("east", `${maps}/${name}`, { method: "DELETE", body: { propagationPolicy } });
}

function gone(...names: string[]): Promise<void> {
  return vi.waitFor(async () => {
    for (const name of names) expect(await get(name)).toBeUndefined();
  }, 60_000);
}

function letGo(name: string): ReturnType<TestServer["ask"]> {
  return server.ask("east", `${maps}/${name}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/merge-patch+json" },
    body: '{"metadata":{"finalizers":null}}',
  });
}

describe("owned objects", () => {
  test("go after their owner, and theirs after them", async () => {
    const root = await make("root");
    const middle = await make("middle", [ownedBy(root)]);
    await make("leaf", [ownedBy(middle)]);
    await remove("root", "Background");
    expect(await get("root")).toBeUndefined();
    await gone("middle", "leaf");
  });

  test("go before their owner when it is deleted in the foreground", async () => {
    const owner = await make("front");
    await make("blocking", [ownedBy(owner, { blockOwnerDeletion: true })], { finalizers: ["example.com/hold"] });
    await make("free", [ownedBy(owner)]);
    expect((await remove("front", "Foreground")).json.metadata.finalizers).toEqual(["foregroundDeletion"]);
    await gone("free");
    await vi.waitFor(async () => expect((await get("blocking")).metadata.deletionTimestamp).toBeDefined(), 60_000);
    expect(await get("front")).toBeDefined();
    await letGo("blocking");
    await gone("blocking", "front");
  });

  test("stay without an owner when it leaves them behind", async () => {
    const owner = await make("parent");
    await make("orphan", [ownedBy(owner)]);
    await remove("parent", "Orphan");
    await gone("parent");
    expect((await get("orphan")).metadata.ownerReferences).toBeUndefined();
  });

  test("stay as long as one owner does, and forget those that went", async () => {
    const [one, two] = [await make("one"), await make("two")];
    await make("shared", [ownedBy(one), ownedBy(two)]);
    await remove("one", "Background");
    await vi.waitFor(async () => {
      expect((await get("shared")).metadata.ownerReferences).toEqual([ownedBy(two)]);
    }, 60_000);
    await remove("two", "Background");
    await gone("shared");
  });

  test("whose owner never was go; those with owners of unknown kinds stay", async () => {
    await make("stray", [{ apiVersion: "v1", kind: "ConfigMap", name: "never", uid: "u-1" }]);
    const foreign = { apiVersion: "example.com/v1", kind: "Widget", name: "w", uid: "u-2" };
    await make("foreign", [foreign]);
    await gone("stray");
    expect((await get("foreign")).metadata.ownerReferences).toEqual([foreign]);
  });

  test("of an owner that was replaced by one of its name go", async () => {
    const first = await make("again");
    await make("old-child", [ownedBy(first)]);
    await remove("again", "Background");
    const second = await make("again");
    await make("new-child", [ownedBy(second)]);
    await gone("old-child");
    expect(await get("new-child")).toBeDefined();
  });

  test("are found again after a restart", async () => {
    const owner = await make("early");
    await make("late", [ownedBy(owner)]);
    await server.restart();
    expect(await get("late")).toBeDefined();
    await remove("early", "Background");
    await gone("late");
  });
});

describe("namespaces", () => {
  const sidecars = "/apis/networking.istio.io/v1/namespaces/z/sidecars";
  const body = { metadata: { name: "s" }, spec: { egress: [{ hosts: ["./*"] }] } };

  test("have a default account, which comes back", async () => {
    await createNamespace(server, "east", "accounts");
    const path = "/api/v1/namespaces/accounts/serviceaccounts/default";
    const there = async (): Promise<void> => expect((await server.ask("east", path)).status).toBe(200);
    await vi.waitFor(there, 60_000);
    await server.ask("east", path, { method: "DELETE" });
    await vi.waitFor(there, 60_000);
  });

  test("stay while something in them does, then go with all of the cluster's objects", async () => {
    const { json } = await createNamespace(server, "east", "z");
    expect([json.spec, json.status]).toEqual([{ finalizers: ["kubernetes"] }, { phase: "Active" }]);
    expect(json.metadata.labels).toEqual({ "kubernetes.io/metadata.name": "z" });
    await created(server, "east", "/api/v1/namespaces/z/pods", pod("p", { nodeName: "n1" }));
    await created(server, "east", "/api/v1/namespaces/z/configmaps", configMap("m"));
    await created(server, "east", sidecars, body);
    const { json: deleted } = await server.ask("east", "/api/v1/namespaces/z", { method: "DELETE" });
    expect(deleted.status.phase).toBe("Terminating");
    await vi.waitFor(async () => {
      expect((await server.ask("east", "/api/v1/namespaces/z/configmaps/m")).status).toBe(404);
    }, 60_000);
    const refused = await server.ask("east", "/api/v1/namespaces/z/configmaps", {
      method: "POST",
      body: configMap("n"),
    });
    expect([refused.status, refused.json.details.causes[0].reason]).toEqual([403, "NamespaceTerminating"]);
    expect(refused.json.message).toBe(
      'configmaps "n" is forbidden: unable to create new content in namespace z because it is being terminated',
    );
    // A change of a namespace that waits does not end it.
    const labels = { "Content-Type": "application/merge-patch+json" };
    const patched = await server.ask("east", "/api/v1/namespaces/z", {
      method: "PATCH",
      headers: labels,
      body: '{"metadata":{"labels":{"a":"b"}},"spec":{"finalizers":[]}}',
    });
    expect(patched.json.spec.finalizers).toEqual(["kubernetes"]);
    expect((await server.ask("east", "/api/v1/namespaces/z")).json.status.phase).toBe("Terminating");
    await server.ask("east", "/api/v1/namespaces/z/pods/p", { method: "DELETE", body: { gracePeriodSeconds: 0 } });
    await vi.waitFor(async () => expect((await server.ask("east", "/api/v1/namespaces/z")).status).toBe(404), 60_000);
    expect((await server.ask("west", `${sidecars}/s`)).status).toBe(200);
  });

  test("that every cluster has cannot be deleted", async () => {
    const { status, json } = await server.ask("east", "/api/v1/namespaces/default", { method: "DELETE" });
    expect([status, json.message]).toEqual([
      403,
      'namespaces "default" is forbidden: this namespace may not be deleted',
    ]);
  });

  test("of the mesh take the mesh's objects along", async () => {
    await createNamespace(server, "mesh", "z");
    await server.ask("mesh", "/api/v1/namespaces/z", { method: "DELETE" });
    await vi.waitFor(async () => expect((await server.ask("mesh", "/api/v1/namespaces/z")).status).toBe(404), 60_000);
    expect((await server.ask("west", `${sidecars}/s`)).status).toBe(404);
  });
});

test("events go an hour after they happened last", async () => {
  let now = Date.now();
  const waiting = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    now: () => now,
    sleep(_ms, signal) {
      return new Promise((resolve, reject) => {
        waiting.add(resolve);
        signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      });
    },
  };
  await using own = await startTestServer({ clock });
  const events = "/api/v1/namespaces/default/events";
  const involvedObject = { kind: "Pod", name: "p" };
  const at = (ms: number): string => timestamp(now + ms);
  await created(own, "east", events, { metadata: { name: "once" }, involvedObject, lastTimestamp: at(-60_000) });
  await created(own, "east", events, { metadata: { name: "again" }, involvedObject, lastTimestamp: at(3_000_000) });
  now += 3_700_000;
  for (const wake of waiting) wake();
  await vi.waitFor(async () => {
    const { items } = (await own.ask("east", events)).json;
    expect(items.map(({ metadata }: Json) => metadata.name)).toEqual(["again"]);
  }, 60_000);
});
