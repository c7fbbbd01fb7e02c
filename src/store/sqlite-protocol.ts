import type { ObjectKey, RecordLimits } from "./port.ts";

/** A change as the database keeps it; `text` is null where the object was removed. */
export interface Row {
  readonly revision: number;
  readonly partition: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly text: string | null;
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Absent where no record of the write is kept. */
  readonly record?: RecordRow;
}

/** What is recorded of a write beside its row. */
export interface RecordRow {
  /** An `Authorship` in JSON. */
  readonly author: string;
  /** The object, or null where it is not kept or was removed. */
  readonly text: string | null;
  readonly minor: boolean;
  /** The revision of the version before, whose row is recorded if no other record of the object is there. */
  readonly before?: number;
}

/** What the thread is started with. */
export interface WorkerData {
  readonly path: string;
  /** Records of writes are kept within these limits; none unless told. */
  readonly records?: RecordLimits;
}

/** What the writer's thread is told. Each is answered in order. */
export type WriterRequest =
  /** One transaction, on disk before it is answered. */
  | { readonly kind: "commit"; readonly rows: readonly Row[] }
  /** Writes the texts of rows anew, as far as they are still there; no trace of the old ones stays. */
  | { readonly kind: "rewrite"; readonly rows: readonly Row[] }
  /** Removes changes that nothing needs any more. */
  | { readonly kind: "compact"; readonly revision: number; readonly obsolete: readonly number[] }
  /** Reads the records of an object; answered by `records`. */
  | { readonly kind: "records"; readonly key: ObjectKey }
  /** Forgets records that are too old or too many. */
  | { readonly kind: "prune"; readonly now: number }
  /** Closes the database. */
  | { readonly kind: "close" };

/** What the writer's thread says: first the database's content, then one answer for each request. */
export type WriterReply =
  | { readonly kind: "rows"; readonly rows: readonly Row[] }
  | { readonly kind: "loaded"; readonly revision: number; readonly compacted: number }
  | { readonly kind: "done" }
  | { readonly kind: "records"; readonly rows: readonly Readonly<Record<string, unknown>>[] }
  | { readonly kind: "failed"; readonly message: string; readonly cause?: FailureCause };

/** Why a database cannot be opened, where the user can do something about it. */
export type FailureCause = "in use" | "damaged";
