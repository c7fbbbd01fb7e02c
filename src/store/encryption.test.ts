import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { jsonLogger, silentLogger, type Logger } from "#base/logger.ts";
import type { ResourceObject } from "#api/meta.ts";
import { RecordCipher } from "./cipher.ts";
import { readKeyFile, type NamedKey } from "./key-file.ts";
import type { ResourceStore } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";

/** The command, as people start it. */
const weft = join(import.meta.dirname, "../../weft");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-encryption-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const word = "correct-horse-battery-staple";
const key = (name: string): NamedKey => ({ name, secret: randomBytes(32) });
const [a, b] = [key("a"), key("b")];

function open(keys: readonly NamedKey[], logger: Logger = silentLogger): Promise<ResourceStore> {
  const cipher = keys.length === 0 ? {} : { cipher: new RecordCipher(keys) };
  return openSqliteStore({ path: join(folder, "store.db"), clock: systemClock, logger, ...cipher });
}

function keyOf(name: string, resource = "secrets"): Parameters<ResourceStore["get"]>[0] {
  return { partition: "cluster/east", resource, namespace: "shop", name };
}

async function put(store: ResourceStore, name: string, resource?: string): Promise<void> {
  const metadata = { name, namespace: "shop" } as ResourceObject["metadata"];
  const object = { apiVersion: "v1", kind: "Secret", metadata, data: { password: word } };
  await store.put(keyOf(name, resource), object, { kind: "any" });
}

async function read(store: ResourceStore, name: string): Promise<unknown> {
  return (await store.get(keyOf(name)))?.object["data"];
}

/** Everything that is on disk. */
function disk(): string {
  return readdirSync(folder)
    .map((file) => readFileSync(join(folder, file), "latin1"))
    .join("");
}

function texts(): readonly string[] {
  using database = new DatabaseSync(join(folder, "store.db"), { readOnly: true });
  return database
    .prepare("SELECT object FROM changes ORDER BY revision")
    .all()
    .map((row) => String(row["object"]));
}

describe("Secrets in the store", () => {
  test("are encrypted on disk, and come back", async () => {
    {
      await using store = await open([a]);
      await put(store, "one");
      expect(await read(store, "one")).toEqual({ password: word });
    }
    expect(disk()).not.toContain(word);
    await using again = await open([a]);
    expect(await read(again, "one")).toEqual({ password: word });
  });

  test("that were there before are encrypted in the background, and leave no trace", async () => {
    {
      await using store = await open([]);
      for (let i = 0; i < 100; i += 1) await put(store, `s${i}`);
      await put(store, "s0");
      await put(store, "map", "configmaps");
    }
    expect(disk()).toContain(word);
    {
      await using store = await open([a]);
      expect(await read(store, "s99")).toEqual({ password: word });
      await store.delete(keyOf("map", "configmaps"), { kind: "any" });
      await store.compact(await store.revision());
    }
    expect(disk()).not.toContain(word);
    await using again = await open([a]);
    expect(await read(again, "s0")).toEqual({ password: word });
  });

  test("move to a new first key, after which the old one can go", async () => {
    {
      await using store = await open([a]);
      await put(store, "one");
    }
    const lines: string[] = [];
    {
      const logger = jsonLogger({ level: "info", write: (line) => lines.push(line), now: () => 0 });
      await using store = await open([b, a], logger);
      await put(store, "two");
    }
    expect(lines.join("\n")).toContain('"key":"b"');
    await using store = await open([b]);
    expect([await read(store, "one"), await read(store, "two")]).toEqual([{ password: word }, { password: word }]);
  });

  test.each([
    ["no key", [], /encrypted with the key "a", which is not there/],
    ["another key", [b], /encrypted with the key "a", which is not there/],
    ["a wrong key of the name", [{ name: "a", secret: randomBytes(32) }], /the key "a" does not open it/],
  ])("stop a server that starts with %s, and nothing is changed", async (_, keys, message) => {
    {
      await using store = await open([a]);
      await put(store, "one");
    }
    const before = texts();
    await expect(open(keys)).rejects.toMatchObject({
      code: "FailedPrecondition",
      message: expect.stringMatching(message) as string,
    });
    expect(texts()).toEqual(before);
    await using store = await open([a]);
    expect(await read(store, "one")).toEqual({ password: word });
  });

  test("stop the program itself that starts with a wrong key: it says so, and leaves what is stored as it was", async () => {
    {
      await using store = await open([a]);
      await put(store, "one");
    }
    // All bytes but SQLite's counts of openings for writing, in the header at 24 and 92 (https://sqlite.org/fileformat.html).
    const files = (): readonly unknown[] =>
      readdirSync(folder).map((file) => [
        file,
        readFileSync(join(folder, file)).fill(0, 24, 28).fill(0, 92, 96).toString("base64"),
      ]);
    const keys = mkdtempSync(join(tmpdir(), "weft-keys-"));
    try {
      writeFileSync(join(keys, "keys"), `a ${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
      const before = files();
      const flags = ["--store", join(folder, "store.db"), "--run-dir", join(keys, "run"), "--mesh-port", "0"];
      const args = ["server", ...flags, "--encryption-keys", join(keys, "keys")];
      const { status, stderr } = spawnSync(weft, args, { encoding: "utf8", timeout: 30_000 });
      expect(status).toBe(1);
      expect(stderr).toMatch(
        /secrets "shop\/one" of cluster\/east cannot be read: it is encrypted, and the key "a" does not open it/,
      );
      expect(stderr).toContain("nothing was changed; start with the key it was written with (--encryption-keys)");
      expect(stderr).not.toContain(word);
      expect(files()).toEqual(before);
    } finally {
      rmSync(keys, { recursive: true, force: true });
    }
    await using store = await open([a]);
    expect(await read(store, "one")).toEqual({ password: word });
  }, 40_000);

  test("cannot be passed off as one another", async () => {
    {
      await using store = await open([a]);
      await put(store, "one");
      await put(store, "two");
    }
    const database = new DatabaseSync(join(folder, "store.db"));
    database.exec("UPDATE changes SET object = (SELECT object FROM changes WHERE name = 'one') WHERE name = 'two'");
    database.close();
    await expect(open([a])).rejects.toThrow(/secrets "shop\/two" .* the record was changed/);
  });
});

describe("a file of keys", () => {
  const secret = randomBytes(32).toString("base64");
  const file = (text: string, mode = 0o600): string => {
    const path = join(folder, "keys");
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };

  test("lists them, the one that writes first", () => {
    const keys = readKeyFile(file(`# new\nb ${secret}\n\na ${randomBytes(32).toString("base64")}\n`));
    expect(keys.map(({ name }) => name)).toEqual(["b", "a"]);
  });

  test.each([
    ["is readable by others", () => file(`a ${secret}`, 0o640), /others can read/],
    ["is not there", () => join(folder, "none"), /cannot be read/],
    ["is empty", () => file("# nothing\n"), /hold no key/],
    ["has a short key", () => file("a c2hvcnQ="), /line 1 .* 32 bytes/],
    ["has a key twice", () => file(`a ${secret}\na ${secret}`), /two keys of one name/],
  ])("that %s is refused", (_, path, message) => {
    expect(() => readKeyFile(path())).toThrow(message);
  });
});
