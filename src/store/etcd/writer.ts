import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ResourceObject } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  KV,
  type TxnRequestSchema,
} from "#proto/gen/etcdserverpb/rpc_pb.js";
import { checkExpectation, describe, notFound } from "../expectation.ts";
import type { Authorship, Expectation, ObjectKey, Stored } from "../port.ts";
import type { Sealing } from "../sealing.ts";
import type { EtcdConnection } from "./connection.ts";
import { failureOf, isTooLarge } from "./failure.ts";
import type { Feed } from "./feed.ts";
import type { KeySpace } from "./keys.ts";
import { atRevision, type Outcome, type OwnWrite } from "./own-writes.ts";
import type { EtcdRecords, Operation } from "./records.ts";

/** What a writer needs. */
export interface WriterOptions {
  readonly connection: EtcdConnection;
  readonly keys: KeySpace;
  readonly sealing: Sealing;
  readonly feed: Feed;
  readonly records: EtcdRecords | undefined;
}

/** What a write found: how it came out, and what was there before. */
export interface Written {
  readonly outcome: Outcome;
  readonly before: Stored | undefined;
}

/** What is written; absent for a removal. */
type Made = { readonly object: ResourceObject; readonly text: string } | undefined;

/** A write that stands on what was there before. */
interface Attempt {
  readonly key: ObjectKey;
  readonly before: Stored | undefined;
  readonly by: Authorship | undefined;
  readonly made: Made;
}

/**
 * Writes by transactions that hold only while the object is as it was, and the store's keys are there. So a write whose answer was
 * lost can be sent again: it is never done twice, and the feed tells whether it was done.
 */
export class EtcdWriter {
  readonly #options: WriterOptions;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /**
   * Writes, or removes, if what is there is as expected; tries again while others change it and it still is.
   * @throws WeftError as `ResourceStore.put` and `delete`; `Unavailable` when it is not known whether it was done.
   */
  async write(key: ObjectKey, expect: Expectation, by: Authorship | undefined, made: Made): Promise<Written> {
    const { feed } = this.#options;
    for (;;) {
      const before = await this.#before(key, expect, made !== undefined);
      using own = feed.own.begin(key, made?.object);
      const outcome = await this.#commit(own, { key, before, by, made });
      if (outcome !== undefined) return { outcome, before };
      await feed.current();
    }
  }

  /** What a write stands on. What is in memory may be old: before a refusal it is made sure that it is not. */
  async #before(key: ObjectKey, expect: Expectation, mayBeAbsent: boolean): Promise<Stored | undefined> {
    const { feed } = this.#options;
    const look = (): Stored | undefined => {
      const before = feed.history.get(key);
      checkExpectation(key, before, expect);
      if (before === undefined && !mayBeAbsent) throw notFound(key);
      return before;
    };
    try {
      return look();
    } catch {
      await feed.current();
      return look();
    }
  }

  /** One transaction. @returns undefined when the object is not as it was before. */
  async #commit(own: OwnWrite, attempt: Attempt): Promise<Outcome | undefined> {
    const { connection, feed, records } = this.#options;
    const { key, made } = attempt;
    const recorded = (await records?.operations({ ...attempt, object: made?.object, id: own.id })) ?? [];
    let again = false;
    const options = { again: () => (again = true) };
    const answer = await connection
      .call(KV.method.txn, this.#transaction(own, attempt, recorded), options)
      .catch((error: unknown) => {
        throw this.#refusal(key, made?.text ?? "", error);
      });
    if (!answer.succeeded) {
      // It may be this very write that was in between, carried out by an attempt whose answer was lost.
      if (again) await feed.current();
      return own.outcome;
    }
    if (recorded.length > 0) records?.written(key);
    const revision = Number(answer.header?.revision ?? 0n);
    await feed.reached(revision);
    if (own.outcome !== undefined || made === undefined) return own.outcome ?? { revision, stored: undefined };
    const object = atRevision(made.object, revision);
    return { revision, stored: Object.freeze({ key: Object.freeze({ ...key }), object, revision }) };
  }

  #transaction(
    own: OwnWrite,
    { key, before, made }: Attempt,
    recorded: readonly Operation[],
  ): MessageInitShape<typeof TxnRequestSchema> {
    const { keys, sealing } = this.#options;
    const place = keys.object(key);
    const text = made && sealing.seal({ ...key, revision: 0, text: made.text, time: 0 }).text;
    const change: Operation["request"] =
      text === undefined || text === null
        ? { case: "requestDeleteRange", value: { key: place } }
        : { case: "requestPut", value: { key: place, value: Buffer.from(text) } };
    return {
      compare: [
        {
          key: place,
          target: Compare_CompareTarget.MOD,
          targetUnion: { case: "modRevision", value: BigInt(before?.revision ?? 0) },
        },
        // A store whose keys somebody removed must not be begun anew by who remembers the old one.
        {
          key: keys.head,
          target: Compare_CompareTarget.CREATE,
          result: Compare_CompareResult.GREATER,
          targetUnion: { case: "createRevision", value: 0n },
        },
      ],
      success: [
        { request: change },
        { request: { case: "requestPut", value: { key: keys.head, value: Buffer.from(own.id) } } },
        ...recorded,
      ],
    };
  }

  #refusal(key: ObjectKey, text: string, error: unknown): WeftError {
    if (!isTooLarge(error)) return failureOf(error, this.#options.connection.endpoint);
    const size = Buffer.byteLength(text);
    const help = "it takes requests of 1.5 MiB unless it is started with more (--max-request-bytes=8388608)";
    return new WeftError("ResourceExhausted", `${describe(key)} of ${size} bytes was refused by etcd: ${help}`, error);
  }
}
