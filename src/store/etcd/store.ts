import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { Compare_CompareTarget, KV } from "#proto/gen/etcdserverpb/rpc_pb.js";
import type { RecordCipher } from "../cipher.ts";
import { checkSize, describe, notFound } from "../expectation.ts";
import { defaultRetention, type Retention } from "../history.ts";
import { storable } from "../object-text.ts";
import { pageOf } from "../page.ts";
import type {
  Authorship,
  Expectation,
  ListOptions,
  ObjectKey,
  Page,
  RecordLimits,
  ResourceStore,
  Selection,
  Stored,
  StoreEvent,
  WriteRecord,
} from "../port.ts";
import { objectPlace, Sealing } from "../sealing.ts";
import { upkeep } from "../upkeep.ts";
import { watchHistory } from "../watch.ts";
import type { EtcdAddress } from "./address.ts";
import { Compactor, readMark } from "./compactor.ts";
import { EtcdConnection } from "./connection.ts";
import type { EtcdFiles } from "./credentials.ts";
import { failureOf } from "./failure.ts";
import { Feed } from "./feed.ts";
import { KeySpace } from "./keys.ts";
import { EtcdRecords, pruneEveryMs } from "./records.ts";
import { EtcdWriter } from "./writer.ts";

/** How a store on etcd is opened. */
export interface EtcdStoreOptions {
  readonly address: EtcdAddress;
  readonly files?: EtcdFiles;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How much of the past is kept in memory; 5 minutes and 32 MiB unless told. */
  readonly retention?: Retention;
  /** Milliseconds of the past that etcd keeps at least; 5 minutes unless told. */
  readonly compactEveryMs?: number;
  /** Records of writes are kept within these limits; none are unless told. */
  readonly records?: RecordLimits;
  /** Encrypts Secrets; they are stored in plain text unless told. */
  readonly cipher?: RecordCipher;
  /** Milliseconds between bookmarks to watches; 30 s unless told. */
  readonly bookmarkEveryMs?: number;
}

/** Milliseconds between looks at the retention. */
const trimEveryMs = 30_000;

/** Milliseconds that etcd is waited for at the start. */
const startMs = 30_000;

/**
 * Opens a store on etcd v3, which several processes may have open at once. All of it is held in memory, kept by a watch; writes are
 * transactions, and reads ask etcd only how new it is.
 * @throws WeftError `Unavailable` when etcd does not answer for half a minute, `PermissionDenied` or `Unauthenticated` when it
 * refuses the credentials, `FailedPrecondition` when an object is encrypted with a key that is missing or wrong.
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<ResourceStore> {
  const { address, files = {}, clock, logger, cipher } = options;
  await using opened = new AsyncDisposableStack();
  const connection = opened.use(new EtcdConnection({ address, files, clock, logger }));
  const keys = new KeySpace(address.prefix);
  const sealing = new Sealing(cipher, objectPlace);
  const feed = new Feed({ connection, keys, sealing, clock, logger });
  try {
    await makeHead(connection, keys);
    const mark = await readMark(connection, keys.compaction);
    await feed.load(mark?.revision);
  } catch (error) {
    throw failureOf(error, connection.endpoint);
  }
  const store = new EtcdStore({ connection, keys, sealing, feed }, options);
  opened.move();
  await store.begin();
  return store;
}

/** Writes the head of a store that is new. */
async function makeHead(connection: EtcdConnection, { head: key }: KeySpace): Promise<void> {
  const request = {
    compare: [
      { key, target: Compare_CompareTarget.CREATE, targetUnion: { case: "createRevision", value: 0n } as const },
    ],
    success: [{ request: { case: "requestPut", value: { key, value: Buffer.alloc(0) } } as const }],
  };
  await connection.call(KV.method.txn, request, { limitMs: startMs });
}

/** What a store is made of. */
interface Parts {
  readonly connection: EtcdConnection;
  readonly keys: KeySpace;
  readonly sealing: Sealing;
  readonly feed: Feed;
}

class EtcdStore implements ResourceStore {
  readonly #parts: Parts;
  readonly #options: EtcdStoreOptions;
  readonly #compactor: Compactor;
  readonly #records: EtcdRecords | undefined;
  readonly #writer: EtcdWriter;
  readonly #closing = new AbortController();
  readonly #upkeep: Disposable;
  readonly #following: Promise<void>;
  #renewing: Promise<void> = Promise.resolve();
  /** The newest write of each key that is under way: writes of one object are carried out in the order in which they are asked. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(parts: Parts, options: EtcdStoreOptions) {
    this.#parts = parts;
    this.#options = options;
    const { connection, keys, feed } = parts;
    const { clock, logger, records: limits, compactEveryMs: everyMs = 300_000 } = options;
    const retention = options.retention ?? defaultRetention;
    this.#compactor = new Compactor({ connection, keys, clock, logger, everyMs });
    if (limits !== undefined) this.#records = new EtcdRecords({ connection, keys, limits, clock, logger });
    this.#writer = new EtcdWriter({ ...parts, records: this.#records });
    const tasks = [
      { everyMs, run: () => void this.#compactor.tick() },
      { everyMs: trimEveryMs, run: () => this.#trim(retention) },
      { everyMs: pruneEveryMs, run: () => void this.#records?.prune() },
    ];
    this.#upkeep = upkeep({ clock, history: feed.history, bookmarkEveryMs: options.bookmarkEveryMs, tasks });
    this.#following = feed.follow(this.#closing.signal);
  }

  /** Waits until the state is as new as etcd's, then does what is due at a start. */
  async begin(): Promise<void> {
    try {
      await this.#parts.feed.current();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
    this.#renewing = this.#parts.sealing.renew(async (rows) => {
      for (const { revision, ...key } of rows) await this.#sealAnew(key, revision);
    }, this.#options.logger);
  }

  async revision(): Promise<number> {
    await this.#current();
    return this.#parts.feed.history.revision;
  }

  async get(key: ObjectKey): Promise<Stored | undefined> {
    await this.#current();
    return this.#parts.feed.history.get(key);
  }

  async list(selection: Selection, options: ListOptions = {}): Promise<Page> {
    await this.#current();
    return pageOf(this.#parts.feed.history, selection, options);
  }

  async put(key: ObjectKey, object: ResourceObject, expect: Expectation, by?: Authorship): Promise<Stored> {
    // Its revision is known when it is stored; an older one would only take room.
    const { resourceVersion: _, ...metadata } = object.metadata;
    const made = storable({ ...object, metadata: { ...metadata, resourceVersion: "" } });
    checkSize(key, made.text);
    const { outcome } = await this.#inTurn(key, () => this.#writer.write(key, expect, by, made));
    if (outcome.stored === undefined) throw new WeftError("Internal", `${describe(key)} was written as a removal`);
    return outcome.stored;
  }

  async delete(
    key: ObjectKey,
    expect: Expectation,
    by?: Authorship,
  ): Promise<{ readonly stored: Stored; readonly revision: number }> {
    const { outcome, before } = await this.#inTurn(key, () => this.#writer.write(key, expect, by, undefined));
    if (before === undefined) throw notFound(key);
    return { stored: before, revision: outcome.revision };
  }

  async records(key: ObjectKey): Promise<readonly WriteRecord[] | undefined> {
    return this.#records?.of(key);
  }

  async *watch(selection: Selection, after: number, signal: AbortSignal): AsyncGenerator<StoreEvent, void, void> {
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    if (ended.aborted) return;
    // It may go on where another server's watch was further than this one is.
    if (after > this.#parts.feed.history.revision) await this.#current();
    yield* watchHistory(this.#parts.feed.history, selection, after, ended);
  }

  async compact(revision: number): Promise<void> {
    this.#parts.feed.history.compact(revision);
    await this.#compactor.compact(Math.min(revision, this.#parts.feed.history.revision));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#upkeep[Symbol.dispose]();
    this.#closing.abort();
    await this.#following;
    await Promise.allSettled(this.#turns.values());
    await this.#renewing;
    this.#parts.connection[Symbol.dispose]();
  }

  async #current(): Promise<void> {
    this.#check();
    await this.#parts.feed.current();
  }

  #check(): void {
    if (this.#closing.signal.aborted) throw new WeftError("Unavailable", "the store is closed");
    this.#parts.feed.check();
  }

  /** Does something when all that was asked before for the same object is done. */
  async #inTurn<Result>(key: ObjectKey, work: () => Promise<Result>): Promise<Result> {
    this.#check();
    const place = this.#parts.keys.object(key).toString();
    const before = this.#turns.get(place) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(place, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(place) === turn) this.#turns.delete(place);
    }
  }

  /** Encrypts an object with the key that writes now, unless it was changed or removed, which does the same. */
  async #sealAnew(key: ObjectKey, revision: number): Promise<void> {
    const stored = this.#parts.feed.history.get(key);
    if (stored?.revision !== revision) return;
    await this.put(key, stored.object, { kind: "revision", revision }).catch((error: unknown) => {
      if (!["Conflict", "NotFound"].includes(codeOf(error))) throw error;
    });
  }

  #trim(retention: Retention): void {
    const { history } = this.#parts.feed;
    const revision = history.excess(retention, this.#options.clock.now());
    if (revision !== undefined) history.compact(revision);
  }
}
