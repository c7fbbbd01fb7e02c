/** The store on a real etcd: what every store promises, and what is etcd's alone. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ResourceObject } from "#api/meta.ts";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { KV } from "#proto/gen/etcdserverpb/rpc_pb.js";
import { RecordCipher } from "#store/cipher.ts";
import { parseEtcdAddress } from "#store/etcd/address.ts";
import { type EtcdStoreOptions, openEtcdStore } from "#store/etcd/store.ts";
import type { ObjectKey, RecordLimits, ResourceStore, Stored } from "#store/port.ts";
import { storeConformance } from "#store/testing/conformance.ts";
import { collect } from "#store/testing/reader.ts";
import { fewRecords, putRecorded, recordedKey, recordsConformance, told } from "#store/testing/records-conformance.ts";
import { eventually } from "../support/eventually.ts";
import { Credentials } from "./credentials.ts";
import { Etcd } from "./etcd.ts";
import { Gate } from "./gate.ts";
import { folderPrefix } from "./run.ts";

/** The command, as people start it. */
const weft = join(import.meta.dirname, "../../weft");

let etcd: Etcd;
let count = 0;
beforeAll(async () => {
  etcd = await Etcd.start();
});
afterAll(() => etcd[Symbol.asyncDispose]());

/** A prefix that nobody has used. */
function newPrefix(): string {
  count += 1;
  return `/test/${count}`;
}

function openAt(url: string, options: Partial<EtcdStoreOptions> = {}): Promise<ResourceStore> {
  return openEtcdStore({ address: parseEtcdAddress(url), clock: systemClock, logger: silentLogger, ...options });
}

const open = (prefix: string, options: Partial<EtcdStoreOptions> = {}): Promise<ResourceStore> =>
  openAt(etcd.url(prefix), options);

const things = { partition: "mesh", resource: "things.example.com" };
const any = { kind: "any" } as const;
const keyOf = (name: string): ObjectKey => ({ ...things, namespace: "shop", name });

function thing(name: string, value: unknown): ResourceObject {
  const metadata = { name, namespace: "shop" } as ResourceObject["metadata"];
  return { apiVersion: "example.com/v1", kind: "Thing", metadata, value };
}

const put = (store: ResourceStore, name: string, value: unknown): Promise<Stored> =>
  store.put(keyOf(name), thing(name, value), any);

const valueOf = async (store: ResourceStore, name: string): Promise<unknown> =>
  (await store.get(keyOf(name)))?.object["value"];

/** Adds one to a number by compare-and-swap, as often as it takes. */
async function increment(store: ResourceStore, name: string): Promise<void> {
  for (;;) {
    const found = await store.get(keyOf(name));
    const expect = found ? ({ kind: "revision", revision: found.revision } as const) : ({ kind: "absent" } as const);
    try {
      await store.put(keyOf(name), thing(name, Number(found?.object["value"] ?? 0) + 1), expect);
      return;
    } catch (error) {
      if (codeOf(error) !== "Conflict" && codeOf(error) !== "AlreadyExists") throw error;
    }
  }
}

/** Makes etcd forget all but the present. */
async function compactAll(): Promise<void> {
  using connection = etcd.connect();
  const { header } = await connection.call(KV.method.range, { key: Buffer.from("/"), countOnly: true });
  await connection.call(KV.method.compact, { revision: header?.revision ?? 0n });
}

storeConformance("etcd", () => open(newPrefix()));

recordsConformance("etcd", async () => {
  const prefix = newPrefix();
  return {
    open: (records: RecordLimits | null) => open(prefix, records === null ? {} : { records }),
    bytes: () => etcd.bytes(prefix),
    now: () => Date.now(),
    [Symbol.asyncDispose]: async () => undefined,
  };
});

test("thousands of writes at the same time are carried out, each once", async () => {
  await using store = await open(newPrefix());
  const base = await store.revision();
  const all = await Promise.all(Array.from({ length: 3000 }, async (_, at) => put(store, `n${at}`, at)));
  expect(new Set(all.map(({ revision }) => revision)).size).toBe(3000);
  expect(await store.revision()).toBe(base + 3000);
});

test("records that nobody is told of are removed from etcd too", async () => {
  const prefix = newPrefix();
  let now = Date.now();
  const prunes: (() => void)[] = [];
  const clock: EtcdStoreOptions["clock"] = {
    ...systemClock,
    now: () => now,
    every(ms, action) {
      if (ms === 600_000) prunes.push(action);
      return { [Symbol.dispose]: () => undefined };
    },
  };
  // Requests' deadlines stand in real time, so time is moved back to where it was after each look.
  await using store = await open(prefix, { clock, records: { ...fewRecords, most: 4 } });
  const kept = async (): Promise<number> => ((await etcd.bytes(prefix)).match(/\/records\//g) ?? []).length;
  const one = recordedKey("one");
  for (let i = 0; i < 12; i += 1) await putRecorded(store, one, { a: String(i) });
  await eventually("an object's records are pruned", async () => (await kept()) <= 6);
  for (const name of ["x", "y", "z"]) await putRecorded(store, recordedKey(name), {});
  now += 10_000;
  for (const prune of prunes) prune();
  await eventually("no more than allowed are kept in all", async () => (await kept()) === 4);
  expect(await told(store, recordedKey("z"))).toHaveLength(1);
});

describe("stores of several processes on one etcd", () => {
  test("see each other's writes at once, and count together without losing any", async () => {
    const prefix = newPrefix();
    await using a = await open(prefix);
    await using b = await open(prefix);
    await using c = await open(prefix);
    for (let round = 0; round < 50; round += 1) {
      const { revision } = await put(a, "one", round);
      expect((await b.get(keyOf("one")))?.revision).toBe(revision);
      expect(await valueOf(c, "one")).toBe(round);
    }
    await Promise.all(
      [a, b, c, a, b, c].map(async (store) => {
        for (let step = 0; step < 15; step += 1) await increment(store, "sum");
      }),
    );
    expect(await valueOf(b, "sum")).toBe(90);
  });

  test("have one order of changes, in which a watch of one goes on at another", async () => {
    const prefix = newPrefix();
    await using a = await open(prefix);
    await using b = await open(prefix);
    const base = await a.revision();
    const readers = [collect(a, things, base), collect(b, things, base)];
    await Promise.all(Array.from({ length: 60 }, async (_, at) => put(at % 2 === 0 ? a : b, `n${at % 7}`, at)));
    const [one, other] = await Promise.all(readers.map((reader) => reader.until(60)));
    const brief = (events: typeof one) =>
      events?.map((event) => (event.kind === "put" ? [event.stored.revision, event.stored.object["value"]] : event));
    expect(brief(one)).toEqual(brief(other));
    await Promise.all(readers.map((reader) => reader.stop()));
    const { revision } = await put(a, "last", 1);
    const moved = collect(b, things, revision);
    await put(a, "last", 2);
    const [event] = await moved.until(1);
    expect(event?.kind === "put" && [event.stored.object["value"], event.previous?.object["value"]]).toEqual([2, 1]);
    await moved.stop();
  });

  test("refuse what another one's write forbids", async () => {
    const prefix = newPrefix();
    await using a = await open(prefix);
    await using b = await open(prefix);
    const { revision } = await put(a, "one", 1);
    await put(b, "one", 2);
    await expect(a.put(keyOf("one"), thing("one", 3), { kind: "revision", revision })).rejects.toMatchObject({
      code: "Conflict",
    });
    await expect(b.put(keyOf("one"), thing("one", 3), { kind: "absent" })).rejects.toMatchObject({
      code: "AlreadyExists",
    });
    await a.delete(keyOf("one"), any);
    await expect(b.delete(keyOf("one"), any)).rejects.toMatchObject({ code: "NotFound" });
    expect((await b.put(keyOf("one"), thing("one", 4), { kind: "absent" })).object["value"]).toBe(4);
  });
});

test("a store that is opened again goes on with the history since etcd was last compacted", async () => {
  const prefix = newPrefix();
  let middle: number;
  {
    await using store = await open(prefix, { compactEveryMs: 30 });
    await put(store, "a", 1);
    await eventually("a mark is set", async () => (await etcd.bytes(prefix)).includes("/compaction"));
  }
  {
    await using store = await open(prefix);
    middle = (await put(store, "a", 2)).revision;
    await put(store, "a", 3);
  }
  await using store = await open(prefix);
  const reader = collect(store, things, middle);
  const [event] = await reader.until(1);
  expect(event?.kind === "put" && [event.stored.object["value"], event.previous?.object["value"]]).toEqual([3, 2]);
  await reader.stop();
});

test("what was compacted while a store was cut off is read anew, and watches that missed it are told", async () => {
  const prefix = newPrefix();
  await using gate = await Gate.to(`http://${etcd.members[0]!.endpoint}`);
  await using cutOff = await openAt(etcd.url(prefix, [new URL(gate.url).host]));
  await using other = await open(prefix);
  for (const name of ["kept", "changed", "removed"]) await put(cutOff, name, 1);
  const still = { partition: "mesh", resource: "stills" };
  await cutOff.put({ ...still, namespace: "", name: "one" }, thing("one", 1), any);
  const behind = collect(cutOff, things, await cutOff.revision());
  const quiet = collect(cutOff, still, await cutOff.revision());
  gate.cut();
  await put(other, "changed", 2);
  await put(other, "made", 2);
  const removal = await other.delete(keyOf("removed"), any);
  await compactAll();
  gate.mend();
  const items = await eventually("the store is back", async () => (await cutOff.list(things)).items);
  expect(items.map(({ key, object }) => [key.name, object["value"]])).toEqual([
    ["changed", 2],
    ["kept", 1],
    ["made", 2],
  ]);
  expect(await cutOff.revision()).toBe(removal.revision);
  await expect(behind.ended).rejects.toMatchObject({ code: "Gone" });
  await other.put({ ...still, namespace: "", name: "one" }, thing("one", 2), any);
  expect((await quiet.until(1))[0]).toMatchObject({ kind: "put", previous: { object: { value: 1 } } });
  await quiet.stop();
});

test("a store without etcd refuses within its time, says why, and goes on when etcd is back", async () => {
  await using gate = await Gate.to(`http://${etcd.members[0]!.endpoint}`);
  await using store = await openAt(etcd.url(newPrefix(), [new URL(gate.url).host]));
  await put(store, "a", 1);
  gate.cut();
  const refused = await Promise.allSettled([store.get(keyOf("a")), store.list(things), put(store, "a", 2)]);
  for (const each of refused) {
    expect(each).toMatchObject({ status: "rejected", reason: { code: "Unavailable" } });
    expect(String((each as PromiseRejectedResult).reason)).toContain("etcd at 127.0.0.1");
  }
  gate.mend();
  await eventually("it answers again", async () => (await valueOf(store, "a")) === 1);
  await put(store, "a", 3);
  expect(await valueOf(store, "a")).toBe(3);
});

test("a store whose keys are removed from etcd neither reads nor writes", async () => {
  const prefix = newPrefix();
  await using store = await open(prefix);
  await put(store, "a", 1);
  using connection = etcd.connect();
  const value = { key: Buffer.from(`${prefix}/`), rangeEnd: Buffer.from(`${prefix}0`) };
  await connection.call(KV.method.txn, { success: [{ request: { case: "requestDeleteRange", value } }] });
  await expect(store.get(keyOf("a"))).rejects.toMatchObject({ code: "Unavailable" });
  await expect(put(store, "a", 2)).rejects.toMatchObject({ code: "Unavailable" });
  expect(await etcd.bytes(prefix)).toBe("");
});

describe("objects", () => {
  test("that are too large for etcd are refused with what to do", async () => {
    await using store = await open(newPrefix());
    await put(store, "a", "x".repeat(1_400_000));
    const refused = put(store, "a", "x".repeat(2_000_000));
    await expect(refused).rejects.toMatchObject({
      code: "ResourceExhausted",
      message: expect.stringMatching(
        /^things.example.com "shop\/a" of 20\d+ bytes was refused by etcd: .*--max-request-bytes/,
      ),
    });
    await expect(put(store, "a", "x".repeat(3_200_000))).rejects.toMatchObject({
      code: "ResourceExhausted",
      message: expect.stringContaining("would be larger than 3145728 bytes"),
    });
    expect(String(await valueOf(store, "a"))).toHaveLength(1_400_000);
  });

  test("that are Secrets are encrypted in etcd, and anew when the key changes", async () => {
    const prefix = newPrefix();
    const word = "correct-horse-battery-staple";
    const [first, second] = ["a", "b"].map((name) => ({ name, secret: randomBytes(32) }));
    const secret = (name: string): ObjectKey => ({ partition: "mesh", resource: "secrets", namespace: "shop", name });
    {
      await using store = await open(prefix);
      await store.put(secret("plain"), thing("plain", word), any);
    }
    expect(await etcd.bytes(prefix)).toContain(word);
    {
      await using store = await open(prefix, { cipher: new RecordCipher([first!]) });
      await store.put(secret("one"), thing("one", word), any);
      await eventually("nothing is in plain text", async () => !(await etcd.bytes(prefix)).includes(word));
      expect((await store.get(secret("plain")))?.object["value"]).toBe(word);
    }
    {
      await using store = await open(prefix, { cipher: new RecordCipher([second!, first!]) });
      await eventually("the second key is used", async () => !(await etcd.bytes(prefix)).includes("weft:sealed:1:a:"));
      expect((await store.get(secret("one")))?.object["value"]).toBe(word);
    }
    await expect(open(prefix, { cipher: new RecordCipher([first!]) })).rejects.toMatchObject({
      code: "FailedPrecondition",
      message: expect.stringContaining('secrets "shop/'),
    });
  });

  test("that are Secrets stop a server that starts with a wrong key: it says so, and nothing in etcd is changed", async () => {
    const prefix = newPrefix();
    const [word, right] = ["correct-horse-battery-staple", { name: "a", secret: randomBytes(32) }];
    const secret: ObjectKey = { partition: "mesh", resource: "secrets", namespace: "shop", name: "one" };
    const withKey = { cipher: new RecordCipher([right]) };
    {
      await using store = await open(prefix, withKey);
      await store.put(secret, thing("one", word), any);
    }
    const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}etcd-keys-`));
    try {
      writeFileSync(join(folder, "keys"), `a ${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
      const before = await etcd.bytes(prefix);
      expect(before).toContain("weft:sealed:1:a:");
      const flags = ["--store", etcd.url(prefix), "--run-dir", join(folder, "run"), "--state-dir", join(folder, "api")];
      const args = ["server", ...flags, "--mesh-port", "0", "--encryption-keys", join(folder, "keys")];
      const { status, stderr } = spawnSync(weft, args, { encoding: "utf8", timeout: 60_000 });
      expect(status).toBe(1);
      expect(stderr).toContain('secrets "shop/one" of mesh cannot be read');
      expect(stderr).toContain('the key "a" does not open it');
      expect(stderr).toContain("(--encryption-keys)");
      expect(stderr).not.toContain(word);
      expect(await etcd.bytes(prefix)).toBe(before);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    await using store = await open(prefix, withKey);
    expect((await store.get(secret))?.object["value"]).toBe(word);
  }, 90_000);
});

describe("an etcd that asks who one is", () => {
  const resources = new AsyncDisposableStack();
  let folder: string;
  let secure: Etcd;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), `${folderPrefix}etcd-tls-`));
    resources.defer(() => rmSync(folder, { recursive: true, force: true }));
    const credentials = new Credentials(folder);
    credentials.server("etcd", ["localhost", "127.0.0.1"]);
    credentials.client("store", { name: "store" });
    const file = (name: string): string => join(folder, name);
    secure = resources.use(
      await Etcd.start({ tls: { certificate: file("etcd.crt"), key: file("etcd.key"), ca: file("ca/ca.crt") } }),
    );
  });
  afterAll(() => resources.disposeAsync());

  test("is spoken to over TLS, with a certificate", async () => {
    const [ca, certificate, key] = ["ca/ca.crt", "store.crt", "store.key"].map((name) => join(folder, name));
    {
      await using store = await openAt(secure.url("/a"), { files: { ca: ca!, certificate: certificate!, key: key! } });
      await put(store, "a", 1);
      expect(await valueOf(store, "a")).toBe(1);
    }
    await expect(openAt(secure.url("/a"), { files: { ca: join(folder, "none.crt") } })).rejects.toMatchObject({
      code: "FailedPrecondition",
      message: expect.stringContaining("none.crt"),
    });
  });
});

test("users of etcd reach their own prefix alone", async () => {
  await using guarded = await Etcd.start();
  const [own, other] = ["/meshes/own", "/meshes/other"];
  const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}etcd-users-`));
  try {
    const call = async (path: string, body: object, token?: string): Promise<{ token?: string }> => {
      const headers = token === undefined ? {} : { authorization: token };
      const answer = await fetch(`http://${guarded.members[0]!.endpoint}/v3/auth/${path}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
      });
      if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
      return (await answer.json()) as { token?: string };
    };
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    for (const [name, prefix] of [
      ["own", own],
      ["root", "/"],
    ] as const) {
      await call("user/add", { name, password: `${name}-word` });
      await call("role/add", { name });
      const perm = { permType: "READWRITE", key: base64(`${prefix}/`), range_end: base64(`${prefix}0`) };
      if (name !== "root") await call("role/grant", { name, perm });
      await call("user/grant", { user: name, role: name });
    }
    await call("enable", {});
    const user = join(folder, "user");
    writeFileSync(user, "own:own-word\n");
    {
      await using store = await openAt(guarded.url(own), { files: { user } });
      await put(store, "a", 1);
      expect(await valueOf(store, "a")).toBe(1);
    }
    await expect(openAt(guarded.url(other), { files: { user } })).rejects.toMatchObject({
      code: "PermissionDenied",
      message: expect.stringContaining("role that reads and writes the store's prefix"),
    });
    writeFileSync(user, "own:wrong\n");
    await expect(openAt(guarded.url(own), { files: { user } })).rejects.toMatchObject({ code: "Unauthenticated" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
