import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { Worker } from "node:worker_threads";
import { WeftError, messageOf } from "#base/errors.ts";
import type { ObjectKey } from "./port.ts";
import type { FailureCause, Row, WorkerData, WriterReply, WriterRequest } from "./sqlite-protocol.ts";

/** What a database held when it was opened. */
export interface Loaded {
  readonly revision: number;
  readonly compacted: number;
}

interface Waiting {
  readonly resolve: (reply: WriterReply) => void;
  readonly reject: (error: WeftError) => void;
}

function openProblem(path: string, message: string, cause: FailureCause | undefined): string {
  switch (cause) {
    case "in use":
      return `the store ${path} is in use by another process`;
    case "damaged":
      return `the store ${path} is damaged (${message}): restore it from a copy, or move it away to begin with an empty one`;
    case undefined:
      return `cannot open the store ${path}: ${message}`;
  }
}

/** A store's database, owned by a thread of its own; requests are done in order. */
export class SqliteWriter {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #broken: WeftError | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /**
   * Opens a database, made if need be (directory 0700, file 0600: it holds Secrets).
   * @param onRows takes the rows it holds, by revision.
   * @throws WeftError `Unavailable` when it cannot be opened, such as by another process having it open, or is damaged.
   */
  static async open(data: WorkerData, onRows: (rows: readonly Row[]) => void): Promise<[SqliteWriter, Loaded]> {
    const { path } = data;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      closeSync(openSync(path, "a", 0o600));
    } catch (error) {
      throw new WeftError("Unavailable", `cannot open the store ${path}`, error);
    }
    const worker = new Worker(new URL("sqlite-worker.ts", import.meta.url), { workerData: data });
    const writer = new SqliteWriter(worker);
    try {
      return [writer, await writer.#load(path, onRows)];
    } catch (error) {
      await worker.terminate();
      throw error;
    }
  }

  /** Resolves when the rows are on disk. @throws WeftError `Unavailable` when they are not, and never will be. */
  commit(rows: readonly Row[]): Promise<void> {
    return this.#do({ kind: "commit", rows });
  }

  /** Writes the texts of rows anew. @throws WeftError `Unavailable`. */
  rewrite(rows: readonly Row[]): Promise<void> {
    return this.#do({ kind: "rewrite", rows });
  }

  /** The records of an object as the database has them, the oldest first. @throws WeftError `Unavailable`. */
  async records(key: ObjectKey): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const reply = await this.#request({ kind: "records", key });
    return reply.kind === "records" ? reply.rows : [];
  }

  /** Forgets records that are too old or too many. @param now milliseconds since the epoch. */
  prune(now: number): Promise<void> {
    return this.#do({ kind: "prune", now });
  }

  /** Removes changes up to a revision that nothing needs any more. @throws WeftError `Unavailable`. */
  compact(revision: number, obsolete: readonly number[]): Promise<void> {
    return this.#do({ kind: "compact", revision, obsolete });
  }

  /** Closes the database and ends the thread. */
  async close(): Promise<void> {
    if (this.#broken === undefined) await this.#request({ kind: "close" });
    await this.#worker.terminate();
  }

  #load(path: string, onRows: (rows: readonly Row[]) => void): Promise<Loaded> {
    return new Promise((resolve, reject) => {
      const fail = (message: string, cause?: FailureCause): void =>
        reject(new WeftError("Unavailable", openProblem(path, message, cause)));
      const onError = (error: unknown): void => fail(String(error));
      const take = (rows: readonly Row[]): void => {
        try {
          onRows(rows);
        } catch (error) {
          if (error instanceof WeftError) reject(error);
          else fail(messageOf(error), "damaged");
        }
      };
      const onMessage = (reply: WriterReply): void => {
        if (reply.kind === "rows") return take(reply.rows);
        if (reply.kind === "failed") return fail(reply.message, reply.cause);
        if (reply.kind !== "loaded") return fail("its thread answered out of turn");
        this.#worker.off("message", onMessage).off("error", onError);
        this.#worker.on("message", (next: WriterReply) => this.#settle(next));
        this.#worker.on("error", (error) => this.#break(error));
        this.#worker.on("exit", () => this.#break(new Error("its thread ended")));
        resolve({ revision: reply.revision, compacted: reply.compacted });
      };
      this.#worker.on("message", onMessage).on("error", onError);
    });
  }

  async #do(request: WriterRequest): Promise<void> {
    await this.#request(request);
  }

  #request(request: WriterRequest): Promise<WriterReply> {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      // A worker's thread has no origin; the rule means a browser's windows.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      this.#worker.postMessage(request);
    });
  }

  #settle(reply: WriterReply): void {
    const waiting = this.#waiting.shift();
    if (reply.kind === "failed") waiting?.reject(new WeftError("Unavailable", `the store failed: ${reply.message}`));
    else waiting?.resolve(reply);
  }

  #break(cause: unknown): void {
    this.#broken ??= new WeftError("Unavailable", "the store's writer is gone", cause);
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#broken);
  }
}
