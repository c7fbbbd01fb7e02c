/** What a feed makes of an etcd that loses its past, its keys, or what it had: an etcd of a test's own, of which it reads and which it watches. */
import { expect, test, vi } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import type { ObjectKey } from "../port.ts";
import { Sealing, objectPlace } from "../sealing.ts";
import { collect } from "../testing/reader.ts";
import { watchHistory } from "../watch.ts";
import type { EtcdConnection } from "./connection.ts";
import { Feed } from "./feed.ts";
import { KeySpace } from "./keys.ts";

interface Kv {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly modRevision: bigint;
}

interface RangeRequest {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array;
}

const keys = new KeySpace("/test");
const things = { partition: "mesh", resource: "things" };
const keyOf = (name: string): ObjectKey => ({ ...things, namespace: "shop", name });

/** As much of etcd as a feed needs. */
class FakeEtcd {
  kvs = new Map<string, Kv>();
  revision = 1;
  /** Watches from here or before are cancelled. */
  compacted = 0;
  /** What answers wait for. */
  held: Promise<void> = Promise.resolve();
  readonly #log: { revision: number; type: number; kv: Kv }[] = [];
  #changed = Promise.withResolvers<void>();
  #cut = new AbortController();
  readonly endpoint = "fake";

  put(name: string, value: unknown): void {
    this.revision += 1;
    const object = { apiVersion: "v1", kind: "Thing", metadata: { name, namespace: "shop", uid: name }, value };
    this.#set(keys.object(keyOf(name)), JSON.stringify(object));
    this.#set(keys.head, "");
    this.#ring();
  }

  delete(key: Buffer, head = true): void {
    this.revision += 1;
    this.kvs.delete(key.toString());
    const kv = { key, value: new Uint8Array(), modRevision: BigInt(this.revision) };
    this.#log.push({ revision: this.revision, type: 1, kv });
    if (head) this.#set(keys.head, "");
    this.#ring();
  }

  /** Ends all watches, and refuses new ones until the work is done. */
  async cut(work: () => void): Promise<void> {
    const mended = Promise.withResolvers<void>();
    const { held } = this;
    this.held = mended.promise;
    const cut = this.#cut;
    this.#cut = new AbortController();
    cut.abort();
    await systemClock.sleep(20);
    work();
    this.held = held;
    mended.resolve();
  }

  leave(): void {}

  async call(_: unknown, { key, rangeEnd }: RangeRequest): Promise<unknown> {
    const [from, to] = [Buffer.from(key), rangeEnd && Buffer.from(rangeEnd)];
    const within = (one: Buffer): boolean =>
      to === undefined ? one.equals(from) : one.compare(from) >= 0 && one.compare(to) < 0;
    const answer = {
      kvs: [...this.kvs.values()].filter((kv) => within(Buffer.from(kv.key))),
      header: { revision: BigInt(this.revision) },
      more: false,
    };
    await this.held;
    return answer;
  }

  async *watch({ startRevision }: { readonly startRevision: bigint }, signal: AbortSignal): AsyncGenerator {
    await this.held;
    const { signal: cut } = this.#cut;
    const header = (): object => ({ revision: BigInt(this.revision) });
    yield { created: true, header: header(), events: [] };
    let next = Number(startRevision);
    if (next <= this.compacted) {
      yield { canceled: true, compactRevision: BigInt(this.compacted), cancelReason: "", events: [] };
      return;
    }
    while (!signal.aborted && !cut.aborted) {
      const events = this.#log.filter(({ revision }) => revision >= next);
      const changed = this.#changed.promise;
      if (events.length > 0) yield { events, header: header() };
      next = Math.max(next, this.revision + 1);
      const ended = new Promise<void>((resolve) => {
        for (const each of [signal, cut]) each.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.race([changed, ended]);
    }
    throw new Error("the watch was cut");
  }

  #set(key: Buffer, text: string): void {
    const kv = { key, value: Buffer.from(text), modRevision: BigInt(this.revision) };
    this.kvs.set(key.toString(), kv);
    this.#log.push({ revision: this.revision, type: 0, kv });
  }

  #ring(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** A feed that follows an etcd, and what ends it. */
async function followed(etcd: FakeEtcd): Promise<AsyncDisposable & { readonly feed: Feed }> {
  const connection = etcd as unknown as EtcdConnection;
  const sealing = new Sealing(undefined, objectPlace);
  const feed = new Feed({ connection, keys, sealing, clock: systemClock, logger: silentLogger });
  await feed.load(undefined);
  const stop = new AbortController();
  const following = feed.follow(stop.signal);
  return {
    feed,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await following;
    },
  };
}

const valueOf = (feed: Feed, name: string): unknown => feed.history.get(keyOf(name))?.object["value"];

function begun(): FakeEtcd {
  const etcd = new FakeEtcd();
  etcd.put("a", 1);
  etcd.put("b", 1);
  return etcd;
}

test("an answer that comes later than the watch is no sign that etcd has gone back", async () => {
  const etcd = begun();
  await using running = await followed(etcd);
  const { feed } = running;
  const slow = Promise.withResolvers<void>();
  etcd.held = slow.promise;
  const current = feed.current();
  await systemClock.sleep(10);
  // The watch was there before, and is not held up.
  etcd.put("a", 2);
  etcd.put("a", 3);
  await vi.waitFor(() => expect(valueOf(feed, "a")).toBe(3), 60_000);
  slow.resolve();
  await current;
  etcd.held = Promise.resolve();
  await feed.current();
});

test("an etcd that has gone back ends watches and reads for good, also when it has come as far again", async () => {
  const etcd = begun();
  await using running = await followed(etcd);
  const { feed } = running;
  const copy = { kvs: new Map(etcd.kvs), revision: etcd.revision };
  etcd.put("phantom", 1);
  etcd.put("phantom", 2);
  await vi.waitFor(() => expect(valueOf(feed, "phantom")).toBe(2), 60_000);
  const reader = collect(
    { watch: (selection, after, signal) => watchHistory(feed.history, selection, after, signal) },
    things,
    feed.history.revision,
  );
  await etcd.cut(() => Object.assign(etcd, copy));
  await expect(reader.ended).rejects.toMatchObject({ code: "Unavailable" });
  for (let count = 0; count < 10; count += 1) etcd.put("a", count);
  await expect(feed.current()).rejects.toThrow(/was restored or replaced; start this process again/);
  expect(() => feed.check()).toThrow("restored or replaced");
});

test("changes that were compacted away and could not be read are read later, and none is skipped", async () => {
  const etcd = begun();
  await using running = await followed(etcd);
  const { feed } = running;
  await etcd.cut(() => {
    etcd.put("a", 2);
    etcd.put("c", 1);
    etcd.compacted = etcd.revision;
    // Something that cannot be read stops what would be half of a state.
    etcd.kvs.set("broken", {
      key: keys.object(keyOf("zz")),
      value: Buffer.from("{"),
      modRevision: BigInt(etcd.revision),
    });
  });
  await systemClock.sleep(200);
  etcd.kvs.delete("broken");
  etcd.put("b", 2);
  await vi.waitFor(() => expect(valueOf(feed, "b")).toBe(2), 60_000);
  expect([valueOf(feed, "a"), valueOf(feed, "c")]).toEqual([2, 1]);
  await feed.current();
});

test("a head that is missing is no state of nothing: what is known stands, and is not read from", async () => {
  const etcd = begun();
  await using running = await followed(etcd);
  const { feed } = running;
  const before = feed.history.revision;
  await etcd.cut(() => {
    etcd.delete(keys.head, false);
    etcd.compacted = etcd.revision;
  });
  await expect(feed.current()).rejects.toThrow("no longer in etcd");
  await systemClock.sleep(200);
  expect(feed.history.revision).toBeGreaterThanOrEqual(before);
  expect(valueOf(feed, "a")).toBe(1);
  etcd.put("a", 2);
  await vi.waitFor(() => expect(valueOf(feed, "a")).toBe(2), 60_000);
  await feed.current();
});
