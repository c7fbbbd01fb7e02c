import type { Clock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { RecordCipher } from "./cipher.ts";
import { deepFreeze } from "./frozen.ts";
import { checkExpectation, checkSize, notFound } from "./expectation.ts";
import { defaultRetention, History, type Retention } from "./history.ts";
import { pageOf } from "./page.ts";
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
} from "./port.ts";
import { storable } from "./object-text.ts";
import { readRecord, recordOf } from "./record-text.ts";
import { Sealing } from "./sealing.ts";
import type { RecordRow, Row } from "./sqlite-protocol.ts";
import { SqliteWriter } from "./sqlite-writer.ts";
import { upkeep } from "./upkeep.ts";
import { watchHistory } from "./watch.ts";

/** How a SQLite store is opened. */
export interface SqliteOptions {
  /** The database file; its directory is made if need be. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How much of the past is kept; 5 minutes and 32 MiB unless told. */
  readonly retention?: Retention;
  /** Milliseconds between looks at the retention; 30 s unless told. */
  readonly compactEveryMs?: number;
  /** Records of writes are kept within these limits; none are unless told. */
  readonly records?: RecordLimits;
  /** Encrypts Secrets; they are stored in plain text unless told. */
  readonly cipher?: RecordCipher;
  /** Milliseconds between bookmarks to watches; 30 s unless told. */
  readonly bookmarkEveryMs?: number;
}

/** Milliseconds between looks at the age of records. */
const pruneEveryMs = 600_000;

/** A change that is not on disk yet. */
interface Pending {
  readonly key: ObjectKey;
  readonly revision: number;
  /** Absent for a removal. */
  readonly stored: Stored | undefined;
  readonly text: string | null;
  readonly record: RecordRow | undefined;
  readonly time: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Settles, without an error, when the change is on disk or lost. */
  readonly settled: Promise<void>;
}

/**
 * Opens the embedded store: the state in memory, every change in a SQLite database on disk before it is acknowledged
 * or seen by anyone (WAL, `synchronous = FULL`). Changes that arrive while a transaction is being written share the
 * next one.
 * @throws WeftError `Unavailable` when the database cannot be opened: another process has it open, or it is damaged;
 * `FailedPrecondition` when a record is encrypted with a key that is missing or wrong. Then nothing was changed.
 */
export async function openSqliteStore(options: SqliteOptions): Promise<ResourceStore> {
  const history = new History();
  const sealing = new Sealing(options.cipher);
  const { path, records } = options;
  const [writer, loaded] = await SqliteWriter.open({ path, ...(records === undefined ? {} : { records }) }, (rows) => {
    for (const row of rows.map((sealed) => sealing.open(sealed))) {
      history.apply({ ...changeOf(row), size: row.text?.length ?? 0, time: row.time });
    }
  });
  history.restore(loaded.revision, loaded.compacted);
  return new SqliteStore(history, writer, sealing, options);
}

function changeOf(row: Row): { key: ObjectKey; revision: number; stored: Stored | undefined } {
  const { partition, resource, namespace, name, revision, text } = row;
  const key: ObjectKey = Object.freeze({ partition, resource, namespace, name });
  if (text === null) return { key, revision, stored: undefined };
  const object = deepFreeze(JSON.parse(text) as ResourceObject);
  return { key, revision, stored: Object.freeze({ key, object, revision }) };
}

function keyText(key: ObjectKey): string {
  return [key.partition, key.resource, key.namespace, key.name].join("\0");
}

class SqliteStore implements ResourceStore {
  readonly #history: History;
  readonly #writer: SqliteWriter;
  readonly #sealing: Sealing;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #upkeep: Disposable;
  readonly #closing = new AbortController();
  /** Changes in revision order that the writer has not confirmed, those being written first. */
  #pending: Pending[] = [];
  /** The newest pending change of each key, against which expectations are checked. */
  readonly #newest = new Map<string, Pending>();
  readonly #recording: boolean;
  #revision: number;
  #flushing: Promise<void> | undefined;
  readonly #renewing: Promise<void>;

  constructor(history: History, writer: SqliteWriter, sealing: Sealing, options: SqliteOptions) {
    this.#history = history;
    this.#writer = writer;
    this.#sealing = sealing;
    this.#recording = options.records !== undefined;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#revision = history.revision;
    const retention = options.retention ?? defaultRetention;
    const tasks = [
      { everyMs: options.compactEveryMs ?? 30_000, run: () => this.#trim(retention) },
      { everyMs: pruneEveryMs, run: () => this.#prune() },
    ];
    this.#upkeep = upkeep({ clock: options.clock, history, bookmarkEveryMs: options.bookmarkEveryMs, tasks });
    this.#prune();
    this.#renewing = sealing.renew((rows) => writer.rewrite(rows), options.logger);
  }

  revision(): Promise<number> {
    return Promise.resolve(this.#history.revision);
  }

  get(key: ObjectKey): Promise<Stored | undefined> {
    return Promise.resolve(this.#history.get(key));
  }

  // An async function turns what it throws into a rejection, as the port's callers expect.
  // oxlint-disable-next-line typescript/require-await
  async list(selection: Selection, options: ListOptions = {}): Promise<Page> {
    return pageOf(this.#history, selection, options);
  }

  put(key: ObjectKey, object: ResourceObject, expect: Expectation, by?: Authorship): Promise<Stored> {
    return this.#write(key, expect, by, (revision) => {
      const versioned = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
      const { object: copy, text } = storable(versioned);
      checkSize(key, text);
      const stored = Object.freeze({ key: Object.freeze({ ...key }), object: copy, revision });
      return { stored, text, result: stored };
    });
  }

  delete(
    key: ObjectKey,
    expect: Expectation,
    by?: Authorship,
  ): Promise<{ readonly stored: Stored; readonly revision: number }> {
    return this.#write(key, expect, by, (revision, before) => {
      if (before === undefined) throw notFound(key);
      return { stored: undefined, text: null, result: { stored: before, revision } };
    });
  }

  async records(key: ObjectKey): Promise<readonly WriteRecord[] | undefined> {
    if (!this.#recording) return undefined;
    return (await this.#writer.records(key)).map(readRecord);
  }

  watch(selection: Selection, after: number, signal: AbortSignal): AsyncIterable<StoreEvent> {
    return watchHistory(this.#history, selection, after, AbortSignal.any([signal, this.#closing.signal]));
  }

  async compact(revision: number): Promise<void> {
    const obsolete = this.#history.compact(revision);
    await this.#writer.compact(this.#history.compacted, obsolete);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#upkeep[Symbol.dispose]();
    this.#closing.abort();
    await this.#flushing;
    await this.#renewing;
    await this.#writer.close();
  }

  /** Checks an expectation, gives the change its revision, and resolves when it is on disk. */
  #write<Result>(
    key: ObjectKey,
    expect: Expectation,
    by: Authorship | undefined,
    make: (
      revision: number,
      before: Stored | undefined,
    ) => { readonly stored: Stored | undefined; readonly text: string | null; readonly result: Result },
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#closing.signal.aborted) throw new WeftError("Unavailable", "the store is closed");
      const place = keyText(key);
      const pending = this.#newest.get(place);
      const before = pending === undefined ? this.#history.get(key) : pending.stored;
      try {
        checkExpectation(key, before, expect);
      } catch (error) {
        // The refusal rests on a change that nobody can read yet: whoever reads again because of it must see that change.
        if (pending === undefined) throw error;
        void this.#refuse(pending, () => reject(error));
        return;
      }
      const revision = this.#revision + 1;
      const { stored, text, result } = make(revision, before);
      this.#revision = revision;
      const settled = Promise.withResolvers<void>();
      const change: Pending = {
        key: stored?.key ?? Object.freeze({ ...key }),
        revision,
        stored,
        text,
        record: this.#recording ? recordOf(key, stored?.object, before, by) : undefined,
        time: this.#clock.now(),
        resolve: () => {
          resolve(result);
          settled.resolve();
        },
        reject: (error) => {
          reject(error);
          settled.resolve();
        },
        settled: settled.promise,
      };
      this.#pending.push(change);
      this.#newest.set(place, change);
      this.#flushing ??= this.#flush();
    });
  }

  async #refuse(pending: Pending, reject: () => void): Promise<void> {
    await pending.settled;
    reject();
  }

  /** Writes what is pending, a transaction at a time, until nothing is. */
  async #flush(): Promise<void> {
    // Everything that is asked for in this turn of the event loop goes into the first transaction.
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      try {
        await this.#writer.commit(batch.map((change) => this.#sealing.seal(rowOf(change))));
        this.#publish(batch);
      } catch (error) {
        this.#abandon([...batch, ...this.#pending.splice(0)], error);
      }
    }
    this.#flushing = undefined;
  }

  #publish(batch: readonly Pending[]): void {
    for (const change of batch) {
      this.#history.apply({ ...change, size: change.text?.length ?? 0 });
      const place = keyText(change.key);
      if (this.#newest.get(place) === change) this.#newest.delete(place);
      change.resolve();
    }
    for (const change of batch) for (const watcher of this.#history.watchers(change.key)) watcher.wake();
  }

  /** A failed transaction takes with it what was checked against it: all that came after. */
  #abandon(changes: readonly Pending[], error: unknown): void {
    this.#logger.error("writes were lost and refused", { writes: changes.length, error: messageOf(error) });
    this.#newest.clear();
    this.#revision = this.#history.revision;
    for (const change of changes) change.reject(error);
  }

  #prune(): void {
    if (!this.#recording) return;
    this.#writer.prune(this.#clock.now()).catch((error: unknown) => {
      this.#logger.warn("records of writes could not be pruned", { error: messageOf(error) });
    });
  }

  #trim(retention: Retention): void {
    const revision = this.#history.excess(retention, this.#clock.now());
    if (revision === undefined) return;
    this.compact(revision).catch((error: unknown) => {
      this.#logger.warn("the history could not be compacted", { error: messageOf(error) });
    });
  }
}

function rowOf(change: Pending): Row {
  const { key, revision, text, time, record } = change;
  return { ...key, revision, text, time, ...(record === undefined ? {} : { record }) };
}
