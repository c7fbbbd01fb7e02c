import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Clock } from "#base/clock.ts";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import type { ResourceStore } from "./port.ts";
import { openSqliteStore, type SqliteOptions } from "./sqlite.ts";
import { storeConformance } from "./testing/conformance.ts";
import { collect } from "./testing/reader.ts";

let directory: string;
let count = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-store-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function newPath(): string {
  count += 1;
  return join(directory, `${count}`, "store.db");
}

function open(path: string, options: Partial<SqliteOptions> = {}): Promise<ResourceStore> {
  return openSqliteStore({ path, clock: systemClock, logger: silentLogger, ...options });
}

const things = { partition: "mesh", resource: "things" };

function put(store: ResourceStore, name: string, value: unknown): ReturnType<ResourceStore["put"]> {
  const metadata = { name, uid: name, resourceVersion: "", generation: 1, creationTimestamp: "2026-01-01T00:00:00Z" };
  return store.put(
    { ...things, namespace: "", name },
    { apiVersion: "v1", kind: "Thing", metadata, value },
    { kind: "any" },
  );
}

/** A clock whose intervals run when told to. */
function manualClock(): { clock: Clock; tick: (ms: number) => void } {
  let now = 1_000_000;
  const actions = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    now: () => now,
    every(_ms, action) {
      actions.add(action);
      return { [Symbol.dispose]: () => actions.delete(action) };
    },
  };
  return {
    clock,
    tick(ms) {
      now += ms;
      for (const action of actions) action();
    },
  };
}

storeConformance("SQLite", () => open(newPath()));

test("what was written is there after a restart, with its history", async () => {
  const path = newPath();
  {
    await using store = await open(path);
    await put(store, "a", 1);
    await put(store, "b", 1);
    await put(store, "a", 2);
    await store.compact(2);
    await store.delete({ ...things, namespace: "", name: "b" }, { kind: "any" });
  }
  await using store = await open(path);
  expect(await store.revision()).toBe(4);
  expect((await store.list(things)).items.map(({ object }) => object["value"])).toEqual([2]);
  expect((await store.list(things, { at: 2 })).items.map(({ object }) => object["value"])).toEqual([1, 1]);
  await expect(store.list(things, { at: 1 })).rejects.toMatchObject({ code: "Gone" });
  const reader = collect(store, things, 2);
  const [changed, removed] = await reader.until(2);
  expect(changed?.kind === "put" && [changed.stored.revision, changed.previous?.revision]).toEqual([3, 1]);
  expect(removed?.kind === "delete" && [removed.revision, removed.stored.revision]).toEqual([4, 2]);
  await reader.stop();
});

test("a revision is never given out twice, also when its object and history are gone", async () => {
  const path = newPath();
  {
    await using store = await open(path);
    await put(store, "a", 1);
    await store.delete({ ...things, namespace: "", name: "a" }, { kind: "any" });
    await store.compact(2);
  }
  await using store = await open(path);
  expect((await put(store, "b", 1)).revision).toBe(3);
});

test("only the owner may read the file, and one process at a time opens it", async () => {
  const path = newPath();
  await using store = await open(path);
  await put(store, "a", 1);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await expect(open(path)).rejects.toMatchObject({
    code: "Unavailable",
    message: expect.stringContaining("in use by another process"),
  });
});

test("a path that cannot be opened is named", async () => {
  const path = join(import.meta.filename, "store.db");
  await expect(open(path)).rejects.toMatchObject({
    code: "Unavailable",
    message: `cannot open the store ${path}`,
  });
});

const damages: readonly (readonly [string, (path: string) => void])[] = [
  ["is no database", (path) => writeFileSync(path, "not a database ".repeat(1000))],
  ["is cut off", (path) => truncateSync(path, 6000)],
  [
    "has a page of nonsense",
    (path) => {
      const bytes = readFileSync(path);
      // The first page says what is in the file; those after it hold the rows.
      writeFileSync(path, bytes.fill(0x5a, 4096));
    },
  ],
  [
    "has an object that is no JSON",
    (path) => {
      using database = new DatabaseSync(path);
      database.exec("UPDATE changes SET object = '{' WHERE revision = 2");
    },
  ],
];

test.each(damages)("a database that %s is not opened, and the message says what to do", async (_, damage) => {
  const path = newPath();
  {
    await using store = await open(path);
    for (const name of ["a", "b", "c"]) await put(store, name, name.repeat(5000));
  }
  damage(path);
  await expect(open(path)).rejects.toMatchObject({
    code: "Unavailable",
    message: expect.stringMatching(
      new RegExp(`^the store ${path} is damaged \\(.+\\): restore it from a copy, or move`),
    ),
  });
});

test("history is kept for a time and up to a size", async () => {
  const { clock, tick } = manualClock();
  const retention = { maxAgeMs: 60_000, maxBytes: 20_000 };
  await using store = await open(newPath(), { clock, retention });
  await put(store, "a", 1);
  tick(59_000);
  await put(store, "a", 2);
  expect((await store.list(things, { at: 1 })).items).toHaveLength(1);
  tick(2_000);
  await expect(store.list(things, { at: 0 })).rejects.toMatchObject({ code: "Gone" });
  expect((await store.list(things, { at: 1 })).items).toHaveLength(1);
  await put(store, "a", "x".repeat(15_000));
  await put(store, "a", "y".repeat(15_000));
  tick(1_000);
  await expect(store.list(things, { at: 2 })).rejects.toMatchObject({ code: "Gone" });
  expect((await store.list(things)).items[0]?.object["value"]).toBe("y".repeat(15_000));
});

test("a watch is told how far it is, also when other resources move", async () => {
  const { clock, tick } = manualClock();
  await using store = await open(newPath(), { clock });
  const reader = collect(store, { partition: "mesh", resource: "quiet" }, 0);
  await put(store, "a", 1);
  await put(store, "a", 2);
  tick(30_000);
  expect(await reader.until(1)).toEqual([{ kind: "bookmark", revision: 2 }]);
  await reader.stop();
});

test("writes that cannot be stored are refused, and later ones work", async () => {
  await using store = await open(newPath());
  await put(store, "a", 1);
  const circular: { self?: unknown } = {};
  circular.self = circular;
  await expect(put(store, "a", circular)).rejects.toThrow(TypeError);
  const refused = put(store, "b", 1n).catch((error: unknown) => error);
  const accepted = put(store, "c", 1);
  expect(await refused).toBeInstanceOf(TypeError);
  expect((await accepted).revision).toBe(2);
});

test("a full disk refuses writes, keeps what is stored, and is survived", async () => {
  const mount = join(directory, "small");
  mkdirSync(mount);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=512k", "tmpfs", mount]);
  try {
    const path = join(mount, "store.db");
    let stored = 0;
    {
      await using store = await open(path);
      const write = (at: number): Promise<unknown> => put(store, `n-${at}`, "x".repeat(40_000));
      while (
        await write(stored).then(
          () => true,
          (error: unknown) => codeOf(error) !== "Unavailable",
        )
      )
        stored += 1;
      expect(stored).toBeGreaterThan(2);
      // What was asked for together with the write that failed was checked against it, so it is refused too.
      const together = await Promise.allSettled([write(stored), put(store, `n-${stored}`, "small")]);
      expect(together.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
      expect((await store.list(things)).items).toHaveLength(stored);
      execFileSync("mount", ["-o", "remount,size=8m", mount]);
      await write(stored);
      expect(await store.revision()).toBe(stored + 1);
    }
    await using store = await open(path);
    expect((await store.list(things)).items).toHaveLength(stored + 1);
  } finally {
    execFileSync("umount", [mount]);
  }
});

test("a kill -9 amid writes loses no acknowledged write", { timeout: 60_000 }, async () => {
  const path = newPath();
  let newest = 0;
  for (let round = 0; round < 5; round += 1) {
    const writer = spawn(
      process.execPath,
      [fileURLToPath(new URL("testing/writer.ts", import.meta.url)), path, `${round}`],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const acknowledged = new Map<string, { revision: number; value: string }>();
    const lines = createInterface({ input: writer.stdout });
    lines.on("line", (line) => {
      const [revision = "", name = "", value = ""] = line.split(" ");
      acknowledged.set(name, { revision: Number(revision), value });
      if (acknowledged.size === 4 && Number(revision) > newest + 60 + 37 * round) writer.kill("SIGKILL");
    });
    await Promise.all([once(lines, "close"), once(writer, "exit")]);
    expect(acknowledged.size).toBe(4);
    await using store = await open(path);
    for (const [name, { revision, value }] of acknowledged) {
      const stored = await store.get({ ...things, namespace: "", name });
      expect(stored?.revision).toBeGreaterThanOrEqual(revision);
      // A write that was on disk but not acknowledged any more may have followed.
      if (stored?.revision === revision) expect(stored.object["value"]).toBe(value);
    }
    newest = await store.revision();
    expect(newest).toBeGreaterThanOrEqual(Math.max(...[...acknowledged.values()].map(({ revision }) => revision)));
  }
});

test("writers at the same time share transactions", async () => {
  await using store = await open(newPath());
  const events = collect(store, things, 0);
  const writes = await Promise.all(Array.from({ length: 500 }, (_, at) => put(store, `n-${at % 50}`, at)));
  expect(writes.map(({ revision }) => revision)).toEqual(Array.from({ length: 500 }, (_, at) => at + 1));
  await events.until(500);
  await events.stop();
  await vi.waitFor(async () => expect(await store.revision()).toBe(500), 60_000);
});
