import type { ResourceObject } from "#api/meta.ts";

/** A separate key space of one store: the mesh's own objects, or one embedded cluster's. */
export type Partition = string;

/** Where an object stands. */
export interface ObjectKey {
  readonly partition: Partition;
  /** `plural` or `plural.group`, such as `virtualservices.networking.istio.io`. */
  readonly resource: string;
  /** Empty for cluster-wide kinds. */
  readonly namespace: string;
  readonly name: string;
}

/** An object and the revision that wrote it. `metadata.resourceVersion` of the object is that revision. */
export interface Stored {
  readonly key: ObjectKey;
  readonly object: ResourceObject;
  /** Counts every write of the whole store, from 1. */
  readonly revision: number;
}

/** Which objects a list or a watch covers. */
export interface Selection {
  readonly partition: Partition;
  readonly resource: string;
  /** Absent: every namespace. */
  readonly namespace?: string;
}

/** A page of a list, all of it read at one revision. */
export interface Page {
  readonly items: readonly Stored[];
  readonly revision: number;
  /** Opaque; given back to read the next page at the same revision. Absent on the last page. */
  readonly next?: string;
  /** Objects after this page, where known. */
  readonly remaining?: number;
}

/** What a list reads, and how much at once. */
export interface ListOptions {
  /** At most so many in a page; all unless told. */
  readonly limit?: number;
  /** Only objects that match are on the page and counted; all unless told. */
  readonly matches?: (object: ResourceObject) => boolean;
  /** A page's `next`. */
  readonly next?: string;
  /** Goes on where `next` stands, but at the newest revision: for who cannot start over when `next` is `Gone`. */
  readonly newest?: boolean;
  /** The revision to read at, for a list's first page; the newest unless told. */
  readonly at?: number;
}

/** What must hold for a write: nothing stored yet, exactly this revision stored, or anything. */
export type Expectation =
  | { readonly kind: "absent" }
  | { readonly kind: "revision"; readonly revision: number }
  | { readonly kind: "any" };

/** A change as a watcher sees it, in the order of revisions. A bookmark only tells how far the watch is. */
export type StoreEvent =
  | { readonly kind: "put"; readonly stored: Stored; readonly previous?: Stored }
  | { readonly kind: "delete"; readonly stored: Stored; readonly revision: number }
  | { readonly kind: "bookmark"; readonly revision: number };

/** Who made a write, for its record. */
export interface Authorship {
  readonly user: string;
  readonly groups: readonly string[];
  /** Who did it in the user's place, by `Impersonate-User`; absent where the user did it. */
  readonly impersonator?: string;
  /** What the client calls itself. */
  readonly agent: string;
  /** Kubernetes' verb, with the subresource: `patch`, `update status`. */
  readonly verb: string;
}

/** The record of one write. */
export interface WriteRecord {
  /** The revision that it made. */
  readonly revision: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** It wrote a status alone, of which only the fact is kept. */
  readonly minor: boolean;
  /** Absent for the object as it was before the first record. */
  readonly by?: Authorship;
  /** The object as it was written, without a Secret's values. Absent for a removal, and where it is `minor`. */
  readonly object?: ResourceObject;
}

/** How many records of writes are kept. */
export interface RecordLimits {
  /**
   * Of one object; as many again of writes of its status. Beside these the last write of each author stays, of as many authors:
   * nobody pushes another out by writing often.
   */
  readonly perObject: number;
  readonly maxAgeMs: number;
  /** Of all objects. */
  readonly most: number;
}

/**
 * The versioned store of objects. A write is acknowledged only when a crash of the process or of the machine can
 * no longer lose it; one that is refused because of another write is refused only when that can be read.
 */
export interface ResourceStore extends AsyncDisposable {
  /** The newest revision. */
  revision(): Promise<number>;
  /** The object, or undefined. */
  get(key: ObjectKey): Promise<Stored | undefined>;
  /**
   * Objects by namespace and name.
   * @throws WeftError `Gone` when the revision to read at was compacted away, `InvalidArgument` when `next` was not
   * made by this store for this selection, or `at` is newer than the newest revision.
   */
  list(selection: Selection, options?: ListOptions): Promise<Page>;
  /**
   * Writes an object; its `resourceVersion` is set by the store. Its managed fields are frozen and kept as they are, all else
   * is copied.
   * @param by who writes, where records of writes are kept; the server itself unless told.
   * @throws WeftError `AlreadyExists` (expected absent), `NotFound` or `Conflict` (expected a revision),
   * `ResourceExhausted` for an object of more than 3 MiB of text.
   */
  put(key: ObjectKey, object: ResourceObject, expect: Expectation, by?: Authorship): Promise<Stored>;
  /**
   * Removes an object and returns it as it was, with the revision of the removal.
   * @param by who deletes, as for `put`.
   * @throws WeftError `NotFound` or `Conflict`.
   */
  delete(
    key: ObjectKey,
    expect: Expectation,
    by?: Authorship,
  ): Promise<{ readonly stored: Stored; readonly revision: number }>;
  /** Records of an object's writes, the oldest first; undefined where none are kept. */
  records(key: ObjectKey): Promise<readonly WriteRecord[] | undefined>;
  /**
   * Every change after a revision, without gaps, until the signal aborts; then it ends without an error. A reader
   * that is too slow to be buffered gets `Gone` and starts again from a list.
   * @throws WeftError `Gone` when changes after that revision were compacted away, or this store has not reached it
   * (it was made by a store that is no more).
   */
  watch(selection: Selection, after: number, signal: AbortSignal): AsyncIterable<StoreEvent>;
  /** Forgets the history up to a revision, so that older watches and pages get `Gone`. */
  compact(revision: number): Promise<void>;
}
