import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ResourceObject } from "#api/meta.ts";
import type { Authorship, ObjectKey, RecordLimits, ResourceStore } from "../port.ts";

/** Bounds that tests reach. */
export const fewRecords: RecordLimits = { perObject: 3, maxAgeMs: 60_000, most: 100 };

/** Who writes in tests. */
export const ada: Authorship = { user: "ada", groups: ["dev"], agent: "kubectl/v1.37.1", verb: "patch" };

/** The key of an object. */
export function recordedKey(name: string, resource = "configmaps"): ObjectKey {
  return { partition: "mesh", resource, namespace: "shop", name };
}

/** Writes an object. @returns the revision. */
export async function putRecorded(
  store: ResourceStore,
  key: ObjectKey,
  data: object,
  by?: Authorship,
): Promise<number> {
  const metadata = { name: key.name, namespace: "shop" } as ResourceObject["metadata"];
  const object = { apiVersion: "v1", kind: "Any", metadata, data };
  return (await store.put(key, object, { kind: "any" }, by)).revision;
}

/** Who wrote which value of `a`, the oldest write first. */
export async function told(store: ResourceStore, key: ObjectKey): Promise<unknown[]> {
  const records = (await store.records(key)) ?? [];
  return records.map(({ by, object }) => [by?.user, (object?.["data"] as { a?: string } | undefined)?.a]);
}

/** Where a store that keeps records is opened, again and again. */
export interface RecordedPlace extends AsyncDisposable {
  /** @param records null for a store without them. */
  open(records: RecordLimits | null): Promise<ResourceStore>;
  /** Everything that is stored, as bytes. */
  bytes(): Promise<string> | string;
  /** Milliseconds since the epoch, for the store. */
  readonly now: () => number;
}

/** What every implementation of `ResourceStore` promises of records; `begin` makes an empty place. */
export function recordsConformance(name: string, begin: () => Promise<RecordedPlace>): void {
  describe(`records of ${name}`, () => {
    let place: RecordedPlace;
    beforeEach(async () => {
      place = await begin();
    });
    afterEach(() => place[Symbol.asyncDispose]());

    test("every write is kept with who made it, over restarts and the end of the object", async () => {
      const key = recordedKey("one");
      {
        await using store = await place.open(fewRecords);
        const time = place.now();
        const revision = await putRecorded(store, key, { a: "1" }, ada);
        await putRecorded(store, key, { a: "2" });
        const [first] = (await store.records(key)) ?? [];
        expect(first).toMatchObject({ revision, minor: false, by: ada });
        expect(first?.object?.metadata).toMatchObject({ name: "one", resourceVersion: String(revision) });
        expect((first?.time ?? 0) - time).toBeLessThan(60_000);
        await store.delete(key, { kind: "any" }, { ...ada, verb: "delete" });
        await store.compact(await store.revision());
      }
      await using store = await place.open(fewRecords);
      expect(await told(store, key)).toEqual([
        ["ada", "1"],
        ["system:apiserver", "2"],
        ["ada", undefined],
      ]);
    });

    test("an object that was there before is kept as it was", async () => {
      const key = recordedKey("old");
      let revision: number;
      {
        await using store = await place.open(null);
        revision = await putRecorded(store, key, { a: "0" });
      }
      await using store = await place.open(fewRecords);
      await putRecorded(store, key, { a: "1" }, ada);
      expect(await told(store, key)).toEqual([
        [undefined, "0"],
        ["ada", "1"],
      ]);
      expect((await store.records(key))?.[0]?.revision).toBe(revision);
    });

    test("so many are told of an object; those of statuses push out no others", async () => {
      await using store = await place.open(fewRecords);
      const key = recordedKey("many");
      await putRecorded(store, key, { a: "wanted" }, ada);
      for (let i = 0; i < 10; i += 1) {
        await putRecorded(store, key, { a: `s${i}` }, { ...ada, verb: "patch status" });
      }
      expect(await told(store, key)).toEqual([
        ["ada", "wanted"],
        ["ada", undefined],
        ["ada", undefined],
        ["ada", undefined],
      ]);
    });

    test("nobody pushes another's last write out by writing often", async () => {
      const key = recordedKey("contested");
      const eve = { ...ada, user: "eve" };
      const status = { ...ada, user: "kubelet", verb: "patch status" };
      {
        await using store = await place.open(fewRecords);
        await putRecorded(store, key, { a: "lost" }, ada);
        await putRecorded(store, key, { a: "kept" }, ada);
        await putRecorded(store, key, { a: "s" }, status);
        for (let i = 0; i < 20; i += 1) {
          await putRecorded(store, key, { a: `e${i}` }, eve);
          await putRecorded(store, key, { a: `t${i}` }, { ...status, user: "eve" });
        }
      }
      await using store = await place.open(fewRecords);
      expect(await told(store, key)).toEqual([
        ["ada", "kept"],
        ["kubelet", undefined],
        ...[17, 18, 19].flatMap((i) => [
          ["eve", `e${i}`],
          ["eve", undefined],
        ]),
      ]);
      // Of many authors the last ones alone: what is kept has an end.
      for (let i = 0; i < 20; i += 1) await putRecorded(store, key, { a: `u${i}` }, { ...ada, user: `user-${i}` });
      const users = (await told(store, key)).map((each) => (each as unknown[])[0]);
      expect(users.filter((user) => user !== "eve" && user !== "kubelet")).toEqual(["user-17", "user-18", "user-19"]);
    });

    test("values of Secrets are nowhere in them, what was applied by kubectl included", async () => {
      const word = "correct-horse-battery";
      const metadata = {
        name: "s",
        namespace: "shop",
        annotations: {
          "kubectl.kubernetes.io/last-applied-configuration": `{"stringData":{"a":"${word}"}}`,
          mine: "1",
        },
      } as unknown as ResourceObject["metadata"];
      const key = recordedKey("s", "secrets");
      await using store = await place.open(fewRecords);
      for (const a of [word, `${word}2`]) {
        await store.put(key, { apiVersion: "v1", kind: "Secret", metadata, data: { a } }, { kind: "any" }, ada);
      }
      const records = (await store.records(key)) ?? [];
      expect(records).toHaveLength(2);
      expect(JSON.stringify(records)).not.toContain(word);
      expect(records[0]?.object).toMatchObject({ data: { a: "(hidden)" }, metadata: { annotations: { mine: "1" } } });
      await store.delete(key, { kind: "any" });
      await store.compact(await store.revision());
      await store[Symbol.asyncDispose]();
      expect(await place.bytes()).not.toContain(word);
    });

    test("heartbeats are not recorded, and nothing is without limits", async () => {
      {
        await using store = await place.open(fewRecords);
        const key = recordedKey("n1", "leases.coordination.k8s.io");
        await putRecorded(store, key, {});
        expect(await store.records(key)).toEqual([]);
      }
      await using store = await place.open(null);
      expect(await store.records(recordedKey("one"))).toBeUndefined();
    });
  });
}
