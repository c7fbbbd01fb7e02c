import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock, type Clock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Authorship, ObjectKey, RecordLimits, ResourceStore } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";

let folder: string;
let now = 1_000_000;
const prunes: (() => void)[] = [];
const clock: Clock = {
  ...systemClock,
  now: () => now,
  every(ms, action) {
    if (ms === 600_000) prunes.push(action);
    return { [Symbol.dispose]: () => undefined };
  },
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-records-"));
  prunes.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const limits = { perObject: 3, maxAgeMs: 60_000, most: 100 };
const ada: Authorship = { user: "ada", groups: ["dev"], agent: "kubectl/v1.37.1", verb: "patch" };

function open(records: RecordLimits | null = limits): Promise<ResourceStore> {
  const options = { path: join(folder, "store.db"), clock, logger: silentLogger };
  return openSqliteStore(records === null ? options : { ...options, records });
}

const keyOf = (name: string, resource = "configmaps"): ObjectKey => {
  return { partition: "mesh", resource, namespace: "shop", name };
};

async function put(store: ResourceStore, key: ObjectKey, data: object, by?: Authorship): Promise<number> {
  const metadata = { name: key.name, namespace: "shop" } as ResourceObject["metadata"];
  const object = { apiVersion: "v1", kind: "Any", metadata, data };
  return (await store.put(key, object, { kind: "any" }, by)).revision;
}

/** Who wrote which value of `a`, the oldest write first. */
async function told(store: ResourceStore, key: ObjectKey): Promise<unknown[]> {
  return (await store.records(key))!.map(({ by, object }) => [by?.user, (object?.["data"] as { a?: string })?.a]);
}

test("every write is kept with who made it, over restarts and the end of the object", async () => {
  const key = keyOf("one");
  {
    await using store = await open();
    const revision = await put(store, key, { a: "1" }, ada);
    await put(store, key, { a: "2" });
    expect((await store.records(key))![0]).toMatchObject({ revision, time: now, minor: false, by: ada });
    await store.delete(key, { kind: "any" }, { ...ada, verb: "delete" });
    await store.compact(await store.revision());
  }
  await using store = await open();
  expect(await told(store, key)).toEqual([
    ["ada", "1"],
    ["system:apiserver", "2"],
    ["ada", undefined],
  ]);
});

test("an object that was there before is kept as it was", async () => {
  const key = keyOf("old");
  {
    await using store = await open(null);
    await put(store, key, { a: "0" });
  }
  await using store = await open();
  await put(store, key, { a: "1" }, ada);
  expect(await told(store, key)).toEqual([
    [undefined, "0"],
    ["ada", "1"],
  ]);
});

test("records are bounded by number, age and all together; those of statuses push out no others", async () => {
  await using store = await open({ ...limits, most: 6 });
  const key = keyOf("many");
  await put(store, key, { a: "wanted" }, ada);
  for (let i = 0; i < 10; i += 1) await put(store, key, { a: `s${i}` }, { ...ada, verb: "patch status" });
  expect(await told(store, key)).toEqual([
    ["ada", "wanted"],
    ["ada", undefined],
    ["ada", undefined],
    ["ada", undefined],
  ]);
  for (let i = 0; i < 5; i += 1) await put(store, key, { a: String(i) }, ada);
  const kept = (await store.records(key))!;
  expect(kept.filter(({ minor }) => !minor).map(({ object }) => object?.["data"])).toEqual([
    { a: "2" },
    { a: "3" },
    { a: "4" },
  ]);
  const other = keyOf("other");
  for (const a of ["x", "y", "z"]) await put(store, other, { a }, ada);
  for (const prune of prunes) prune();
  expect([(await told(store, key)).length, (await told(store, other)).length]).toEqual([3, 3]);
  now += 61_000;
  await put(store, other, { a: "new" }, ada);
  for (const prune of prunes) prune();
  expect([await told(store, key), await told(store, other)]).toEqual([[], [["ada", "new"]]]);
});

test("values of Secrets are nowhere in them, what was applied by kubectl included", async () => {
  const word = "correct-horse-battery";
  const metadata = {
    name: "s",
    namespace: "shop",
    annotations: { "kubectl.kubernetes.io/last-applied-configuration": `{"stringData":{"a":"${word}"}}`, mine: "1" },
  } as unknown as ResourceObject["metadata"];
  const key = keyOf("s", "secrets");
  await using store = await open();
  for (const a of [word, `${word}2`]) {
    await store.put(key, { apiVersion: "v1", kind: "Secret", metadata, data: { a } }, { kind: "any" }, ada);
  }
  const records = (await store.records(key))!;
  expect(records).toHaveLength(2);
  expect(JSON.stringify(records)).not.toContain(word);
  expect(records[0]!.object).toMatchObject({ data: { a: "(hidden)" }, metadata: { annotations: { mine: "1" } } });
  await store.delete(key, { kind: "any" });
  await store.compact(await store.revision());
  await store[Symbol.asyncDispose]();
  const disk = readdirSync(folder).map((file) => readFileSync(join(folder, file), "latin1"));
  expect(disk.join("")).not.toContain(word);
});

test("heartbeats are not recorded, and nothing is without limits", async () => {
  {
    await using store = await open();
    const key = keyOf("n1", "leases.coordination.k8s.io");
    await put(store, key, {});
    expect(await store.records(key)).toEqual([]);
  }
  await using store = await open(null);
  expect(await store.records(keyOf("one"))).toBeUndefined();
});
