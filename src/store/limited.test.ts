import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { limitedStore } from "./limited.ts";
import type { Expectation, ResourceStore } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-limited-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const limit = { most: 2, partitions: ["mesh"], resources: ["things"] };
const absent = { kind: "absent" } as const;

async function put(store: ResourceStore, name: string, expect: Expectation, resource = "things"): Promise<unknown> {
  const metadata = { name, uid: name, resourceVersion: "", generation: 1, creationTimestamp: "2026-01-01T00:00:00Z" };
  const key = { partition: "mesh", resource, namespace: "", name };
  return store.put(key, { apiVersion: "v1", kind: "Thing", metadata }, expect);
}

test("a full store refuses what is new, takes changes, and has room again for what goes", async () => {
  await using opened = await openSqliteStore({
    path: join(directory, "1.db"),
    clock: systemClock,
    logger: silentLogger,
  });
  await put(opened, "a", absent);
  const store = await limitedStore(opened, limit);
  const written = await Promise.allSettled(["b", "c"].map(async (name) => put(store, name, absent)));
  expect(written.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  await expect(put(store, "d", { kind: "any" })).rejects.toThrow("exceeded quota: there are 2 objects of at most 2");
  // What there is can be changed; who is refused otherwise takes no room; other resources are not counted.
  await put(store, "a", { kind: "any" });
  await put(store, "e", absent, "others");
  await store.delete({ partition: "mesh", resource: "things", namespace: "", name: "a" }, { kind: "any" });
  await expect(put(store, "b", absent)).rejects.toMatchObject({ code: "AlreadyExists" });
  await put(store, "c", absent);
  await expect(put(store, "d", absent)).rejects.toMatchObject({ code: "PermissionDenied" });
});
