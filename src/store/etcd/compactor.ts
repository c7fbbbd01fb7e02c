import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { Compare_CompareTarget, KV } from "#proto/gen/etcdserverpb/rpc_pb.js";
import type { EtcdConnection } from "./connection.ts";
import { textOf } from "./decoder.ts";
import { isCompacted } from "./failure.ts";
import type { KeySpace } from "./keys.ts";

/** Where a regular task of all servers of a store stands. */
interface Mark {
  /** The revision of etcd when it was last done. */
  readonly revision: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

function parseMark(text: string): Mark | undefined {
  try {
    const { revision, time } = JSON.parse(text) as Mark;
    return Number.isSafeInteger(revision) && Number.isFinite(time) ? { revision, time } : undefined;
  } catch {
    return undefined;
  }
}

/** Reads a mark. */
export async function readMark(connection: EtcdConnection, key: Buffer): Promise<Mark | undefined> {
  const { kvs } = await connection.call(KV.method.range, { key });
  return kvs[0] && parseMark(textOf(kvs[0].value));
}

/**
 * Takes a regular task that several servers have, one of which is to do it each time.
 * @returns whether it is this one's turn, and the mark before.
 */
export async function takeTurn(
  connection: EtcdConnection,
  key: Buffer,
  { now, everyMs }: { readonly now: number; readonly everyMs: number },
): Promise<{ readonly mine: boolean; readonly before: Mark | undefined }> {
  const { kvs, header } = await connection.call(KV.method.range, { key });
  const before = kvs[0] && parseMark(textOf(kvs[0].value));
  // Their timers and clocks are not quite the same.
  if (before !== undefined && Math.abs(now - before.time) < everyMs * 0.9) return { mine: false, before };
  const mark: Mark = { revision: Number(header?.revision ?? 0n), time: now };
  const value = kvs[0]?.modRevision ?? 0n;
  const { succeeded } = await connection.call(KV.method.txn, {
    compare: [{ key, target: Compare_CompareTarget.MOD, targetUnion: { case: "modRevision", value } }],
    success: [{ request: { case: "requestPut", value: { key, value: Buffer.from(JSON.stringify(mark)) } } }],
  });
  return { mine: succeeded, before };
}

/** What a compactor needs. */
export interface CompactorOptions {
  readonly connection: EtcdConnection;
  readonly keys: KeySpace;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds of the past that etcd keeps at least, and twice that at most. */
  readonly everyMs: number;
}

/** Makes etcd forget the past, as a Kubernetes API server does: one of a store's servers in each interval, up to the one before. */
export class Compactor {
  readonly #options: CompactorOptions;

  constructor(options: CompactorOptions) {
    this.#options = options;
  }

  /** Compacts if it is time and this server's turn. */
  async tick(): Promise<void> {
    const { connection, keys, clock, logger, everyMs } = this.#options;
    try {
      const { mine, before } = await takeTurn(connection, keys.compaction, { now: clock.now(), everyMs });
      if (mine && before !== undefined) await this.compact(before.revision);
    } catch (error) {
      logger.warn("etcd's past could not be compacted", { error: messageOf(error) });
    }
  }

  /** Makes etcd forget what was before a revision. */
  async compact(revision: number): Promise<void> {
    try {
      await this.#options.connection.call(KV.method.compact, { revision: BigInt(revision) });
    } catch (error) {
      if (!isCompacted(error)) throw error;
    }
  }
}
