import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ResourceObject } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import type { Expectation, ObjectKey, ResourceStore, Selection, StoreEvent } from "../port.ts";
import { modelProperty } from "./model.ts";
import { collect } from "./reader.ts";

const absent: Expectation = { kind: "absent" };
const any: Expectation = { kind: "any" };
const things: Selection = { partition: "cluster/east", resource: "things.example.com" };

/** A key in `things`. */
function keyOf(name: string, namespace = "shop"): ObjectKey {
  return { ...things, namespace, name };
}

/** Selects some objects. */
function isWanted({ metadata }: ResourceObject): boolean {
  return ["b", "d", "e"].includes(metadata.name);
}

/** A small object with one field to change. */
function thing(key: ObjectKey, value: unknown = 0): ResourceObject {
  return {
    apiVersion: "example.com/v1",
    kind: "Thing",
    metadata: {
      name: key.name,
      namespace: key.namespace,
      uid: `uid-${key.name}`,
      resourceVersion: "",
      generation: 1,
      creationTimestamp: "2026-01-01T00:00:00Z",
    },
    spec: { value },
  };
}

/** What an event says, short enough to compare. @param base the store's first revision, from which others are counted. */
function brief(event: StoreEvent, base: number): string {
  const revision = (event.kind === "put" ? event.stored.revision : event.revision) - base;
  if (event.kind === "bookmark") return `bookmark ${revision}`;
  return `${event.kind} ${event.stored.key.namespace}/${event.stored.key.name} ${revision}`;
}

/** A value that must be there. */
function some<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("expected a value");
  return value;
}

/**
 * What every implementation of `ResourceStore` promises; `open` makes an empty one. Its revision need not be 0, since others may
 * count with the same counter; nobody else does while these tests run.
 */
export function storeConformance(name: string, open: () => Promise<ResourceStore>): void {
  describe(`${name} as a ResourceStore`, () => {
    let store: ResourceStore;
    let base = 0;
    beforeEach(async () => {
      store = await open();
      base = await store.revision();
    });
    const briefly = (events: readonly StoreEvent[]) => events.map((event) => brief(event, base));
    afterEach(() => store[Symbol.asyncDispose]());
    const put = (name: string, value?: unknown, expected = any) =>
      store.put(keyOf(name), thing(keyOf(name), value), expected);

    describe("writes", () => {
      test("one revision counter covers all partitions and resources", async () => {
        const first = await put("a");
        const other = { partition: "mesh", resource: "others", namespace: "", name: "a" };
        const second = await store.put(other, thing(other), absent);
        expect([first.revision, second.revision, await store.revision()]).toEqual([base + 1, base + 2, base + 2]);
        expect(second.object.metadata.resourceVersion).toBe(String(base + 2));
        expect((await store.get(keyOf("a")))?.revision).toBe(base + 1);
        expect((await store.get(other))?.object).toEqual(second.object);
      });

      test("an expectation that does not hold changes nothing", async () => {
        await put("a", 1, absent);
        await expect(put("a", 2, absent)).rejects.toMatchObject({ code: "AlreadyExists" });
        await expect(put("a", 2, { kind: "revision", revision: base + 7 })).rejects.toMatchObject({ code: "Conflict" });
        await expect(put("b", 2, { kind: "revision", revision: base + 1 })).rejects.toMatchObject({ code: "NotFound" });
        await expect(store.delete(keyOf("b"), any)).rejects.toMatchObject({ code: "NotFound" });
        await expect(store.delete(keyOf("a"), { kind: "revision", revision: base + 7 })).rejects.toMatchObject({
          code: "Conflict",
        });
        expect(await store.revision()).toBe(base + 1);
        expect((await store.get(keyOf("a")))?.object["spec"]).toEqual({ value: 1 });
      });

      test("a removal returns the object as it was and has a revision of its own", async () => {
        const { revision } = await put("a", 1);
        const removed = await store.delete(keyOf("a"), { kind: "revision", revision });
        expect(removed.stored.object["spec"]).toEqual({ value: 1 });
        expect([removed.stored.revision, removed.revision]).toEqual([base + 1, base + 2]);
        expect(await store.get(keyOf("a"))).toBeUndefined();
        expect((await put("a", 2, absent)).revision).toBe(base + 3);
      });

      test("of writers at the same time that expect the same revision exactly one wins", async () => {
        const { revision } = await put("a");
        const outcomes = await Promise.allSettled(
          Array.from({ length: 20 }, (_, value) => put("a", value + 1, { kind: "revision", revision })),
        );
        expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
        expect(await store.revision()).toBe(base + 2);
      });

      test("who is refused because of another write can read that write", async () => {
        const { revision } = await put("a", 0, absent);
        const expected: Expectation = { kind: "revision", revision };
        const refused = async (write: Promise<unknown>): Promise<unknown> => {
          await expect(write).rejects.toBeInstanceOf(WeftError);
          return (await store.get(keyOf("a")))?.object["spec"];
        };
        const won = put("a", 1, expected);
        expect(await refused(put("a", 2, expected))).toEqual({ value: 1 });
        await won;
        const removed = store.delete(keyOf("a"), any);
        expect(await refused(put("a", 3, expected))).toBeUndefined();
        await removed;
        const made = put("a", 4, absent);
        expect(await refused(put("a", 5, absent))).toEqual({ value: 4 });
        await made;
      });

      test("objects are copies, and frozen", async () => {
        const given = thing(keyOf("a"), { deep: [1] });
        const stored = await store.put(keyOf("a"), given, absent);
        (given["spec"] as { value: unknown }).value = "changed by the caller";
        expect((await store.get(keyOf("a")))?.object["spec"]).toEqual({ value: { deep: [1] } });
        expect(() => (stored.object["spec"] as { value: { deep: number[] } }).value.deep.push(2)).toThrow(TypeError);
      });
    });

    describe("lists", () => {
      test("cover a partition and a resource, or one namespace of them, in order", async () => {
        for (const [namespace, name] of [
          ["b", "a"],
          ["a-b", "z"],
          ["a", "c"],
          ["a", "b"],
        ] as const) {
          await store.put(keyOf(name, namespace), thing(keyOf(name, namespace)), absent);
        }
        const elsewhere = { ...keyOf("x", "a"), partition: "cluster/west" };
        await store.put(elsewhere, thing(elsewhere), absent);
        const all = await store.list(things);
        expect(all.items.map(({ key }) => `${key.namespace}/${key.name}`)).toEqual(["a/b", "a/c", "a-b/z", "b/a"]);
        expect([all.revision, all.next]).toEqual([base + 5, undefined]);
        const one = await store.list({ ...things, namespace: "a" });
        expect(one.items.map(({ key }) => key.name)).toEqual(["b", "c"]);
        expect(one.revision).toBe(base + 5);
      });

      test("all pages are read at the revision of the first", async () => {
        for (const name of ["a", "b", "c", "d", "e"]) await put(name, 1);
        const first = await store.list(things, { limit: 2 });
        expect(first.items.map(({ key }) => key.name)).toEqual(["a", "b"]);
        expect(first.remaining).toBe(3);
        await put("c", 2);
        await store.delete(keyOf("d"), any);
        await put("bb", 1);
        const second = await store.list(things, { limit: 2, next: some(first.next) });
        expect(second.items.map(({ key, object }) => [key.name, object["spec"]])).toEqual([
          ["c", { value: 1 }],
          ["d", { value: 1 }],
        ]);
        const third = await store.list(things, { limit: 2, next: some(second.next) });
        expect(third.items.map(({ key }) => key.name)).toEqual(["e"]);
        expect([second.revision, third.revision, third.next]).toEqual([base + 5, base + 5, undefined]);
        const newest = await store.list(things, { next: some(first.next), newest: true });
        expect(newest.items.map(({ key }) => key.name)).toEqual(["bb", "c", "e"]);
        expect(newest.revision).toBe(base + 8);
      });

      test("pages are filled with what matches, and count it", async () => {
        for (const [value, name] of ["a", "b", "c", "d", "e", "f"].entries()) await put(name, value);
        const first = await store.list(things, { limit: 2, matches: isWanted });
        expect([first.items.map(({ key }) => key.name), first.remaining]).toEqual([["b", "d"], 1]);
        const second = await store.list(things, { limit: 2, matches: isWanted, next: some(first.next) });
        expect([second.items.map(({ key }) => key.name), second.next]).toEqual([["e"], undefined]);
      });

      test("an earlier revision can be read, a later one not", async () => {
        await put("a", 1);
        await put("a", 2);
        const [item] = (await store.list(things, { at: base + 1 })).items;
        expect(item?.object["spec"]).toEqual({ value: 1 });
        await expect(store.list(things, { at: base + 3 })).rejects.toMatchObject({ code: "InvalidArgument" });
      });

      test("a page token works for its own list only", async () => {
        await put("a");
        await put("b");
        const { next } = await store.list(things, { limit: 1 });
        await expect(store.list({ ...things, namespace: "shop" }, { next: some(next) })).rejects.toMatchObject({
          code: "InvalidArgument",
        });
        await expect(store.list(things, { next: "bm9uc2Vuc2U" })).rejects.toMatchObject({ code: "InvalidArgument" });
      });
    });

    describe("watches", () => {
      test("see every change after a revision, with what it replaced", async () => {
        await put("a", 1);
        const reader = collect(store, things, base + 1);
        await put("a", 2);
        await store.put(keyOf("b", "other"), thing(keyOf("b", "other")), any);
        await store.delete(keyOf("a"), any);
        const elsewhere = { ...keyOf("x"), partition: "mesh" };
        await store.put(elsewhere, thing(elsewhere), any);
        const events = await reader.until(3);
        expect(briefly(events)).toEqual(["put shop/a 2", "put other/b 3", "delete shop/a 4"]);
        const [replaced, created, removed] = events;
        expect(replaced?.kind === "put" && replaced.previous?.object["spec"]).toEqual({ value: 1 });
        expect(created?.kind === "put" && created.previous).toBeUndefined();
        expect(removed?.kind === "delete" && removed.stored.object["spec"]).toEqual({ value: 2 });
        await reader.stop();
      });

      test("of one namespace see only that", async () => {
        const reader = collect(store, { ...things, namespace: "other" }, base);
        await put("a");
        await store.put(keyOf("b", "other"), thing(keyOf("b", "other")), any);
        expect(briefly(await reader.until(1))).toEqual(["put other/b 2"]);
        await reader.stop();
      });

      test("catch up from a past revision, then follow", async () => {
        for (let value = 0; value < 50; value += 1) await put("a", value);
        const reader = collect(store, things, base + 20);
        await put("b");
        const revisions = briefly(await reader.until(31)).map((event) => Number(event.split(" ").at(-1)));
        expect(revisions).toEqual(Array.from({ length: 31 }, (_, at) => at + 21));
        await reader.stop();
      });

      test("share one object among all readers", async () => {
        const readers = Array.from({ length: 3 }, () => collect(store, things, base));
        const stored = await put("a");
        for (const reader of readers) {
          const [event] = await reader.until(1);
          expect(event?.kind === "put" && event.stored.object).toBe(stored.object);
          await reader.stop();
        }
      });

      test("end when their signal aborts, also while nothing happens", async () => {
        const reader = collect(store, things, base);
        await reader.stop();
        expect(reader.events).toEqual([]);
      });

      test("end when the store is closed", async () => {
        const reader = collect(store, things, base);
        await store[Symbol.asyncDispose]();
        await reader.ended;
        await expect(put("a")).rejects.toMatchObject({ code: "Unavailable" });
      });
    });

    describe("compaction", () => {
      test("refuses what reads the forgotten past, and keeps the present", async () => {
        await put("a", 1);
        await put("b", 1);
        const { next } = await store.list(things, { limit: 1 });
        await put("a", 2);
        await store.delete(keyOf("b"), any);
        await store.compact(base + 4);
        await expect(store.list(things, { next: some(next) })).rejects.toMatchObject({ code: "Gone" });
        await expect(store.list(things, { at: base + 3 })).rejects.toMatchObject({ code: "Gone" });
        expect((await store.list(things, { next: some(next), newest: true })).items).toEqual([]);
        await expect(collect(store, things, base + 3).ended).rejects.toMatchObject({ code: "Gone" });
        expect((await store.list(things)).items.map(({ object }) => object["spec"])).toEqual([{ value: 2 }]);
        const reader = collect(store, things, base + 4);
        await put("a", 3);
        const [event] = await reader.until(1);
        expect(event?.kind === "put" && event.previous?.object["spec"]).toEqual({ value: 2 });
        await reader.stop();
      });

      test("a reader that has not taken what is forgotten gets Gone", async () => {
        const watch = store.watch(things, base, AbortSignal.timeout(10_000))[Symbol.asyncIterator]();
        await put("a", 1);
        await watch.next();
        for (let value = 2; value < 10; value += 1) await put("a", value);
        await store.compact(await store.revision());
        await expect(watch.next()).rejects.toMatchObject({ code: "Gone" });
      });

      test("a reader that waits is not disturbed", async () => {
        const reader = collect(store, things, base);
        const other = { partition: "mesh", resource: "others", namespace: "", name: "a" };
        for (let value = 0; value < 5; value += 1) await store.put(other, thing(other, value), any);
        await store.compact(base + 5);
        await put("a");
        expect(briefly(await reader.until(1))).toEqual(["put shop/a 6"]);
        await reader.stop();
      });

      test("a revision that is not reached yet cannot be watched", async () => {
        await put("a");
        await expect(collect(store, things, base + 2).ended).rejects.toMatchObject({ code: "Gone" });
      });
    });

    test("any sequence of operations gives what a plain map gives", async () => {
      await expect(modelProperty(open)).resolves.toBeUndefined();
    });
  });
}
