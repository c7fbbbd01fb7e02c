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
}

/** What the writer's thread is told. Each is answered in order. */
export type WriterRequest =
  /** One transaction, on disk before it is answered. */
  | { readonly kind: "commit"; readonly rows: readonly Row[] }
  /** Writes the texts of rows anew, as far as they are still there; no trace of the old ones stays. */
  | { readonly kind: "rewrite"; readonly rows: readonly Row[] }
  /** Removes changes that nothing needs any more. */
  | { readonly kind: "compact"; readonly revision: number; readonly obsolete: readonly number[] }
  /** Closes the database. */
  | { readonly kind: "close" };

/** What the writer's thread says: first the database's content, then one answer for each request. */
export type WriterReply =
  | { readonly kind: "rows"; readonly rows: readonly Row[] }
  | { readonly kind: "loaded"; readonly revision: number; readonly compacted: number }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly message: string; readonly cause?: FailureCause };

/** Why a database cannot be opened, where the user can do something about it. */
export type FailureCause = "in use" | "damaged";
