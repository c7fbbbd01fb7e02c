import { createHash } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { KV, type RequestOpSchema } from "#proto/gen/etcdserverpb/rpc_pb.js";
import type { KeyValue } from "#proto/gen/mvccpb/kv_pb.js";
import type { Authorship, ObjectKey, RecordLimits, Stored, WriteRecord } from "../port.ts";
import { recordOf } from "../record-text.ts";
import { takeTurn } from "./compactor.ts";
import type { EtcdConnection } from "./connection.ts";
import { textOf } from "./decoder.ts";
import type { KeySpace } from "./keys.ts";
import { readRange } from "./load.ts";

/** What is done in a transaction. */
export interface Operation {
  readonly request: Extract<MessageInitShape<typeof RequestOpSchema>["request"], { case: string }>;
}

/** A record as etcd keeps it, compressed. */
interface Kept {
  readonly time: number;
  readonly minor: boolean;
  readonly by?: Authorship;
  readonly object?: ResourceObject;
  /** Absent where it is the revision of the record's own key. */
  readonly revision?: number;
}

/** What the records of a store need. */
export interface EtcdRecordsOptions {
  readonly connection: EtcdConnection;
  readonly keys: KeySpace;
  readonly limits: RecordLimits;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A write that is to be recorded. */
export interface RecordedWrite {
  readonly key: ObjectKey;
  /** Absent for a removal. */
  readonly object: ResourceObject | undefined;
  readonly before: Stored | undefined;
  readonly by: Authorship | undefined;
  /** The write's id. */
  readonly id: string;
}

/** Milliseconds between looks at the ages of records. */
export const pruneEveryMs = 600_000;

/** Operations of one transaction; etcd takes 128 unless told. */
const mostOperations = 100;

/** When an object was last written, as far as it says so; the given time where it does not. */
function timeOf({ metadata: { managedFields = [], creationTimestamp } }: ResourceObject, otherwise: number): number {
  const times = [...managedFields.map(({ time }) => time), creationTimestamp].map((time) => Date.parse(time ?? ""));
  const known = times.filter((time) => !Number.isNaN(time));
  return known.length === 0 ? otherwise : Math.max(...known);
}

function revisionOf({ modRevision }: KeyValue): number {
  return Number(modRevision);
}

/** What stands for an author in keys. */
function authorId(user: string | undefined): string {
  return user === undefined ? "" : createHash("sha256").update(user).digest("base64url");
}

/** What a record's key says, so that those that are to go are found without reading them. */
interface Named {
  readonly minor: boolean;
  readonly time: number;
  /** Empty where nobody is known. */
  readonly author: string;
}

function nameOf({ minor, time, author }: Named, id: string): string {
  return `${minor ? "m" : "w"}.${time.toString(36).padStart(9, "0")}.${author}.${id}`;
}

function partsOf({ key }: KeyValue): Named {
  const [kind, time = "", author = "", id] = textOf(key).split("/").at(-1)?.split(".") ?? [];
  return { minor: kind === "m", time: Number.parseInt(time, 36), author: id === undefined ? "" : author };
}

function readKept(kv: KeyValue): WriteRecord {
  const { revision = revisionOf(kv), object, ...kept } = JSON.parse(inflateRawSync(kv.value).toString()) as Kept;
  if (object === undefined) return { ...kept, revision };
  const metadata = { ...object.metadata, resourceVersion: String(revision) };
  return { ...kept, revision, object: { ...object, metadata } };
}

/** What decides whether a record stays. */
type Ranked = Pick<Named, "minor" | "author">;

/** Those that are to go, of records of one object, the oldest first: all but the newest, and the last of each author. */
function crowded<Each>(all: readonly Each[], rank: (each: Each) => Ranked, most: number): readonly Each[] {
  const kinds = Map.groupBy(all, (each) => rank(each).minor).values();
  return [...kinds].flatMap((some) => {
    const lasts = new Map<string, Each>();
    for (const each of some.toReversed()) {
      const { author } = rank(each);
      if (author !== "" && lasts.size < most && !lasts.has(author)) lasts.set(author, each);
    }
    const stay = new Set(lasts.values());
    return some.slice(0, Math.max(0, some.length - most)).filter((each) => !stay.has(each));
  });
}

function rankOf({ minor, by }: WriteRecord): Ranked {
  return { minor, author: authorId(by?.user) };
}

/** Records of writes beside the objects: written with each change, pruned now and then, and exact when they are read. */
export class EtcdRecords {
  readonly #options: EtcdRecordsOptions;
  /** Objects that are known to have records, by key. */
  readonly #begun = new Set<string>();
  /** Records that were added since an object's were pruned. */
  readonly #added = new Map<string, number>();

  constructor(options: EtcdRecordsOptions) {
    this.#options = options;
  }

  /** What a write's transaction does for its record. */
  async operations({ key, object, before, by, id }: RecordedWrite): Promise<readonly Operation[]> {
    const row = recordOf(key, object, before, by);
    if (row === undefined) return [];
    const { keys, clock } = this.#options;
    const folder = keys.records(key).key.toString();
    const time = clock.now();
    const kept = {
      time,
      minor: row.minor,
      by: JSON.parse(row.author ?? "") as Authorship,
      ...(row.text === null ? {} : { object: JSON.parse(row.text) as ResourceObject }),
    };
    const author = authorId(kept.by.user);
    const own = put(`${folder}${nameOf({ time, minor: row.minor, author }, id)}`, kept);
    const first = before !== undefined && row.before !== undefined && !(await this.#hasRecords(key, folder));
    if (!first) return [own];
    const since = timeOf(before.object, time);
    return [
      put(`${folder}${nameOf({ time: since, minor: false, author: "" }, "first")}`, firstRecord(key, before, since)),
      own,
    ];
  }

  /** A write's record was stored. */
  written(key: ObjectKey): void {
    const folder = this.#options.keys.records(key).key.toString();
    this.#begun.add(folder);
    const added = (this.#added.get(folder) ?? 0) + 1;
    const few = added < Math.max(4, this.#options.limits.perObject / 5);
    this.#added.set(folder, few ? added : 0);
    if (few) return;
    this.#pruneObject(key).catch((error: unknown) => this.#warn(error));
  }

  /** The records of an object, the oldest first. */
  async of(key: ObjectKey): Promise<readonly WriteRecord[]> {
    const { keys, limits, clock, connection } = this.#options;
    const kvs = await this.#read(readRange(connection, keys.records(key)));
    const oldest = clock.now() - limits.maxAgeMs;
    const records = kvs.map(readKept).toSorted((a, b) => a.revision - b.revision);
    const surplus = new Set(crowded(records, rankOf, limits.perObject));
    return records.filter((record) => !surplus.has(record) && record.time >= oldest);
  }

  /** Forgets records that are too old or too many, where no other server did so lately. */
  async prune(): Promise<void> {
    const { connection, keys, limits, clock } = this.#options;
    try {
      const now = clock.now();
      const { mine } = await takeTurn(connection, keys.pruning, { now, everyMs: pruneEveryMs });
      if (!mine) return;
      const kvs = await this.#read(readRange(connection, keys.allRecords, { keysOnly: true }));
      const isOld = (kv: KeyValue): boolean => partsOf(kv).time < now - limits.maxAgeMs;
      const kept = kvs.filter((kv) => !isOld(kv)).toSorted((a, b) => revisionOf(a) - revisionOf(b));
      await this.#remove([...kvs.filter(isOld), ...kept.slice(0, Math.max(0, kept.length - limits.most))]);
    } catch (error) {
      this.#warn(error);
    }
  }

  async #pruneObject(key: ObjectKey): Promise<void> {
    const { connection, keys, limits } = this.#options;
    const kvs = await this.#read(readRange(connection, keys.records(key), { keysOnly: true }));
    const sorted = kvs.toSorted((a, b) => revisionOf(a) - revisionOf(b));
    await this.#remove(crowded(sorted, partsOf, limits.perObject));
  }

  async #hasRecords(key: ObjectKey, folder: string): Promise<boolean> {
    if (this.#begun.has(folder)) return true;
    const { connection, keys } = this.#options;
    const { count } = await connection.call(KV.method.range, { ...keys.records(key), countOnly: true });
    return count > 0n;
  }

  async #read(pages: AsyncIterable<KeyValue[]>): Promise<KeyValue[]> {
    const kvs: KeyValue[] = [];
    for await (const page of pages) for (const kv of page) kvs.push(kv);
    return kvs;
  }

  async #remove(kvs: readonly KeyValue[]): Promise<void> {
    for (let at = 0; at < kvs.length; at += mostOperations) {
      const some = kvs.slice(at, at + mostOperations);
      const success = some.map(({ key }): Operation => ({ request: { case: "requestDeleteRange", value: { key } } }));
      await this.#options.connection.call(KV.method.txn, { success });
    }
  }

  #warn(error: unknown): void {
    this.#options.logger.warn("records of writes could not be pruned", { error: messageOf(error) });
  }
}

function put(key: string, kept: Kept): Operation {
  const value = deflateRawSync(JSON.stringify(kept));
  return { request: { case: "requestPut", value: { key: Buffer.from(key), value } } };
}

/** The object as it was before the first record of it. */
function firstRecord(key: ObjectKey, { object, revision }: Stored, time: number): Kept {
  const text = recordOf(key, object, undefined, undefined)?.text ?? "null";
  return { time, minor: false, object: JSON.parse(text) as ResourceObject, revision };
}
