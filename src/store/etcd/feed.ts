import { Backoff } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf, WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { type WatchResponse, KV } from "#proto/gen/etcdserverpb/rpc_pb.js";
import { type Event, Event_EventType } from "#proto/gen/mvccpb/kv_pb.js";
import { History, type Change } from "../history.ts";
import type { Sealing } from "../sealing.ts";
import type { EtcdConnection } from "./connection.ts";
import { decode, textOf } from "./decoder.ts";
import { failureOf } from "./failure.ts";
import type { KeySpace } from "./keys.ts";
import { readObjects } from "./load.ts";
import { OwnWrites } from "./own-writes.ts";

/** What a feed needs. */
export interface FeedOptions {
  readonly connection: EtcdConnection;
  readonly keys: KeySpace;
  readonly sealing: Sealing;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds that a change which etcd has may take to come by the watch, before the watch is made anew. */
const stallMs = 1000;

/** Milliseconds that it may take in all. */
const limitMs = 10_000;

/** Who waits for a revision. */
interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
}

function keysAreGone({ head }: KeySpace): WeftError {
  return new WeftError("Unavailable", `the store's keys are no longer in etcd (${head.toString()})`);
}

/** Events by the revisions that made them, which are in order. */
function byRevision(events: readonly Event[]): ReadonlyMap<number, readonly Event[]> {
  return Map.groupBy(events, ({ kv }) => Number(kv?.modRevision ?? 0n));
}

/**
 * The state of a store in memory, kept by one watch of all its keys. Reads are answered from it, once it is known to be as new as
 * etcd was when they were asked: one small request to etcd tells that for all who ask at the same time.
 */
export class Feed {
  readonly history = new History();
  readonly own = new OwnWrites();
  readonly #options: FeedOptions;
  /** The revision of etcd up to which everything has been seen. */
  #position = 0;
  #waiters: Waiter[] = [];
  /** Ends the watch that is being read, for another one. */
  #renew = new AbortController();
  #asking: Promise<number> | undefined;
  #askingNext: Promise<number> | undefined;
  #trouble: unknown;
  /** That what etcd holds is not what this state came from, once that was seen. */
  #replaced: WeftError | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /**
   * Reads what is stored, from an earlier revision on if etcd still has it, so that watches of that time can go on here.
   * @param from that revision; undefined for the newest.
   */
  async load(from: number | undefined): Promise<void> {
    const { keys, connection, sealing, clock } = this.#options;
    const loaded = await readObjects(connection, keys, from);
    const time = clock.now();
    for (const kv of loaded.kvs) {
      const key = keys.objectOf(kv.key);
      if (key === undefined) continue;
      const stored = decode(key, kv, sealing);
      this.history.apply({ key, revision: stored.revision, stored, size: kv.value.length, time });
    }
    this.history.restore(loaded.head, loaded.head);
    this.#position = loaded.revision;
  }

  /** Follows etcd until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    const { connection, clock, logger } = this.#options;
    const backoff = new Backoff({ initialMs: 50, maxMs: 2000 });
    while (!signal.aborted && this.#replaced === undefined) {
      this.#renew = new AbortController();
      try {
        await this.#read(AbortSignal.any([signal, this.#renew.signal]), () => backoff.reset());
      } catch (error) {
        if (signal.aborted) return;
        if (!this.#renew.signal.aborted) logger.warn("the watch of etcd broke", { error: messageOf(error) });
        this.#trouble = error;
      }
      connection.leave();
      await clock.sleep(backoff.next(), signal).catch(() => undefined);
    }
  }

  /**
   * @throws WeftError `Unavailable` when etcd was restored from a copy or replaced: objects and revisions are in memory that it never had,
   * and no later change tells of that.
   */
  check(): void {
    if (this.#replaced) throw this.#replaced;
  }

  /**
   * Resolves when all that was written before is in the history.
   * @throws WeftError `Unavailable` when etcd does not answer or the watch stays behind.
   */
  async current(): Promise<void> {
    this.check();
    const head = await this.#head();
    this.check();
    if (await this.reached(head)) return;
    throw new WeftError("Unavailable", `the watch of etcd stays behind revision ${head}`, this.#trouble);
  }

  /** Resolves when a revision of the store is in the history: to true, or to false when that takes too long. */
  async reached(revision: number): Promise<boolean> {
    if (this.history.revision >= revision) return true;
    const arrived = new Promise<true>((resolve) => {
      this.#waiters.push({ revision, resolve: () => resolve(true) });
    });
    const { clock } = this.#options;
    // Not one that was made since: that has had no time to bring anything.
    const watch = this.#renew;
    using _stall = clock.after(stallMs, () => watch.abort());
    const late = Promise.withResolvers<false>();
    using _limit = clock.after(limitMs, () => late.resolve(false));
    return Promise.race([arrived, late.promise]);
  }

  /** The store's revision in etcd. Whoever asks while one request is under way shares the next: that one is later than their question. */
  #head(): Promise<number> {
    if (this.#asking === undefined) {
      this.#asking = this.#askHead();
      return this.#asking;
    }
    this.#askingNext ??= this.#asking.then(
      () => this.#nextHead(),
      (error: unknown) => {
        // Who waited for it has waited long enough.
        this.#asking = undefined;
        this.#askingNext = undefined;
        throw error;
      },
    );
    return this.#askingNext;
  }

  #nextHead(): Promise<number> {
    this.#askingNext = undefined;
    this.#asking = this.#askHead();
    return this.#asking;
  }

  async #askHead(): Promise<number> {
    try {
      return await this.#readHead();
    } finally {
      if (this.#askingNext === undefined) this.#asking = undefined;
    }
  }

  async #readHead(): Promise<number> {
    const { connection, keys } = this.#options;
    // Later writes may come by the watch before the answer does.
    const [before, position] = [this.history.revision, this.#position];
    const { kvs, header } = await connection.call(KV.method.range, { key: keys.head }).catch((error: unknown) => {
      throw failureOf(error, connection.endpoint);
    });
    const now = Number(header?.revision ?? 0n);
    if (now < position) throw this.#found(now, position);
    const head = kvs[0] && Number(kvs[0].modRevision);
    if (head === undefined) throw keysAreGone(keys);
    if (head < before) throw this.#found(head, before);
    return head;
  }

  /** Takes note that etcd has gone back, which it never does by itself. */
  #found(now: number, before: number): WeftError {
    const problem = `etcd is at revision ${now}, and was at ${before}: it was restored or replaced`;
    this.#replaced ??= new WeftError("Unavailable", `${problem}; start this process again`);
    this.#options.logger.error("the store cannot go on", { error: problem });
    this.history.end(this.#replaced);
    this.#renew.abort();
    return this.#replaced;
  }

  async #read(signal: AbortSignal, begun: () => void): Promise<void> {
    const { connection, keys } = this.#options;
    const request = { ...keys.followed, startRevision: BigInt(this.#position + 1), progressNotify: true };
    for await (const response of connection.watch(request, signal)) {
      if (response.canceled) {
        if (response.compactRevision === 0n) throw new WeftError("Unavailable", response.cancelReason);
        await this.#catchUp();
        return;
      }
      if (!response.created) {
        this.#take(response);
        continue;
      }
      begun();
      // A member that lags behind may say so too: only an answer on which all agree tells whether etcd has gone back.
      if (Number(response.header?.revision ?? 0n) < this.#position) await this.#readHead();
    }
  }

  #take({ events, header }: WatchResponse): void {
    const changes: Change[] = [];
    try {
      for (const [revision, group] of byRevision(events)) {
        changes.push(...this.#apply(revision, group));
        this.#position = revision;
      }
    } finally {
      this.#wake(changes);
    }
    // Without events it tells how far the watch is; with some, others of earlier revisions may follow.
    if (events.length === 0) this.#position = Math.max(this.#position, Number(header?.revision ?? 0n));
    this.#trouble = undefined;
  }

  /** Takes what was written at one revision. */
  #apply(revision: number, events: readonly Event[]): readonly Change[] {
    if (revision <= this.history.revision) return [];
    const { keys, clock, sealing } = this.#options;
    const head = events.find(({ kv }) => kv && keys.head.equals(kv.key));
    const own = head?.kv && this.own.take(textOf(head.kv.value), revision);
    const changes: Change[] = [];
    for (const { type, kv } of events) {
      const key = kv && keys.objectOf(kv.key);
      if (!key) continue;
      const put = type === Event_EventType.PUT;
      const stored = put ? (own?.stored ?? decode(key, kv, sealing)) : undefined;
      changes.push({ key: stored?.key ?? key, revision, stored, size: kv.value.length, time: clock.now() });
    }
    for (const change of changes) this.history.apply(change);
    this.history.restore(revision, this.history.compacted);
    return changes;
  }

  #wake(changes: readonly Change[]): void {
    for (const { key } of changes) for (const watcher of this.history.watchers(key)) watcher.wake();
    const due = this.#waiters.filter(({ revision }) => revision <= this.history.revision);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter(({ revision }) => revision > this.history.revision);
    for (const { resolve } of due) resolve();
  }

  /** What the watch missed has been compacted away: reads all there is, and forgets the past, of which a part is missing. */
  async #catchUp(): Promise<void> {
    const { connection, keys, sealing, clock, logger } = this.#options;
    const { kvs, head, revision } = await readObjects(connection, keys, undefined);
    if (head === 0) throw keysAreGone(keys);
    if (head < this.history.revision) throw this.#found(head, this.history.revision);
    if (head === this.history.revision) {
      this.#position = revision;
      return;
    }
    logger.warn("changes were compacted before they were read: reading all there is", { revision });
    const time = clock.now();
    const changes: Change[] = [];
    const there = new Set<string>();
    for (const kv of kvs) {
      const key = keys.objectOf(kv.key);
      if (key === undefined) continue;
      there.add(keys.object(key).toString());
      if (Number(kv.modRevision) <= this.history.revision) continue;
      const stored = decode(key, kv, sealing);
      changes.push({ key, revision: stored.revision, stored, size: kv.value.length, time });
    }
    const gone = [...this.history.all()].filter(({ key }) => !there.has(keys.object(key).toString()));
    for (const { key } of gone) changes.push({ key, revision: head, stored: undefined, size: 0, time });
    for (const change of changes) this.history.apply(change);
    this.history.restore(head, head);
    // Only now: had something been unreadable, it is all to be read again.
    this.#position = revision;
    this.#wake(changes);
  }
}
