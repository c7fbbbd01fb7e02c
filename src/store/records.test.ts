import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock, type Clock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import type { RecordLimits, ResourceStore } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";
import {
  ada,
  fewRecords,
  putRecorded as put,
  type RecordedPlace,
  recordedKey as keyOf,
  recordsConformance,
  told,
} from "./testing/records-conformance.ts";

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

/** A folder for a store. */
class Folder implements RecordedPlace {
  readonly #path = mkdtempSync(join(tmpdir(), "weft-records-"));
  readonly now = (): number => now;

  open(records: RecordLimits | null): Promise<ResourceStore> {
    const options = { path: join(this.#path, "store.db"), clock, logger: silentLogger };
    return openSqliteStore(records === null ? options : { ...options, records });
  }

  bytes(): string {
    return readdirSync(this.#path)
      .map((file) => readFileSync(join(this.#path, file), "latin1"))
      .join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#path, { recursive: true, force: true });
  }
}

recordsConformance("SQLite", async () => new Folder());

test("records are bounded by number, age and all together", async () => {
  await using folder = new Folder();
  prunes.length = 0;
  await using store = await folder.open({ ...fewRecords, most: 4 });
  const key = keyOf("many");
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
  expect([(await told(store, key)).length, (await told(store, other)).length]).toEqual([1, 3]);
  now += 61_000;
  await put(store, other, { a: "new" }, ada);
  for (const prune of prunes) prune();
  expect([await told(store, key), await told(store, other)]).toEqual([[], [["ada", "new"]]]);
});
