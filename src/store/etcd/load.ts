import { KV } from "#proto/gen/etcdserverpb/rpc_pb.js";
import type { KeyValue } from "#proto/gen/mvccpb/kv_pb.js";
import type { EtcdConnection } from "./connection.ts";
import { isCompacted, isFuture } from "./failure.ts";
import type { KeyRange, KeySpace } from "./keys.ts";

/** Keys in one answer: some megabytes of objects. */
const pageSize = 500;

/** Milliseconds for one page. */
const pageMs = 15_000;

/** All objects of a store at one revision. */
export interface Loaded {
  /** In the order of the revisions that wrote them. */
  readonly kvs: readonly KeyValue[];
  /** The store's revision then. */
  readonly head: number;
  /** The revision of etcd that was read at. */
  readonly revision: number;
}

/** Keys of a range, a page after the other, at one revision. */
export async function* readRange(
  connection: EtcdConnection,
  { key, rangeEnd }: KeyRange,
  { at = 0n, keysOnly = false }: { readonly at?: bigint; readonly keysOnly?: boolean } = {},
): AsyncGenerator<KeyValue[], bigint> {
  let revision = at;
  for (let next: Uint8Array = key; ;) {
    const request = { key: next, rangeEnd, revision, limit: BigInt(pageSize), keysOnly };
    const { kvs, more, header } = await connection.call(KV.method.range, request, {
      attemptMs: pageMs,
      limitMs: 2 * pageMs,
    });
    if (revision === 0n) revision = header?.revision ?? 0n;
    yield kvs;
    const last = kvs.at(-1);
    if (!more || last === undefined) return revision;
    // The key right after the last one.
    next = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

async function readAt(connection: EtcdConnection, keys: KeySpace, at: bigint): Promise<Loaded> {
  const kvs: KeyValue[] = [];
  // The head stands before the objects.
  const pages = readRange(connection, keys.followed, { at });
  let page = await pages.next();
  for (; !page.done; page = await pages.next()) for (const kv of page.value) kvs.push(kv);
  const objects = kvs.filter(({ key }) => !keys.head.equals(key));
  const head = kvs.find(({ key }) => keys.head.equals(key));
  return {
    kvs: objects.toSorted((a, b) => Number(a.modRevision - b.modRevision)),
    head: Number(head?.modRevision ?? 0n),
    revision: Number(page.value),
  };
}

/** Reads all objects at a revision; at the newest where that is undefined, compacted away or not there yet, or has no head. */
export async function readObjects(
  connection: EtcdConnection,
  keys: KeySpace,
  from: number | undefined,
): Promise<Loaded> {
  if (from !== undefined) {
    try {
      const loaded = await readAt(connection, keys, BigInt(from));
      // Without it nobody could tell from which revision on the changes are at hand.
      if (loaded.head > 0) return loaded;
    } catch (error) {
      if (!isCompacted(error) && !isFuture(error)) throw error;
    }
  }
  return readAt(connection, keys, 0n);
}
