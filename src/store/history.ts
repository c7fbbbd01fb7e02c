import { WeftError } from "#base/errors.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { ObjectKey, Selection, Stored, StoreEvent } from "./port.ts";

/** One version of an object; `stored` is absent where the object was removed. */
interface Version {
  readonly revision: number;
  readonly stored: Stored | undefined;
}

/** A committed change with what the history needs to know of it. */
export interface Change {
  readonly key: ObjectKey;
  readonly revision: number;
  /** Absent for a removal. */
  readonly stored: Stored | undefined;
  /** Length of the object's text, for bounding the history. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** Who reads a collection's changes. */
export interface Watcher {
  /** There are changes to read. */
  wake(): void;
  /** The reader should tell how far it is. */
  bookmark(): void;
}

/** Keys sort by namespace, then name: NUL sorts before every character of a name. */
export function placeOf(key: { readonly namespace: string; readonly name: string }): string {
  return `${key.namespace}\0${key.name}`;
}

/** Index of the first element that is not less than `place`. */
function lowerBound(sorted: readonly string[], place: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? "") < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

function versionAt(versions: readonly Version[], revision: number): Version | undefined {
  return versions.findLast((version) => version.revision <= revision);
}

/** Which part of a collection is read. */
interface SliceOptions {
  /** A revision that is not compacted. */
  readonly revision: number;
  /** Only what comes after this place (`namespace NUL name`). */
  readonly after: string | undefined;
  readonly limit: number;
  /** Only objects that match; all unless told. */
  readonly matches: ((object: ResourceObject) => boolean) | undefined;
}

/** What a page of a collection holds. */
interface Slice {
  readonly items: readonly Stored[];
  /** Whether objects follow; counted in `remaining`. */
  readonly remaining: number;
}

/** All versions of the objects of one resource in one partition, with the changes that watchers read. */
class Collection {
  readonly #versions = new Map<string, Version[]>();
  /** Places of `#versions`, sorted, but for those in `#fresh`. */
  #places: string[] = [];
  /** Places that are not sorted in yet: a store that is being loaded adds many at once. */
  #fresh: string[] = [];
  #events: StoreEvent[] = [];
  /** Revision of the newest event that was trimmed. */
  #trimmed = 0;
  readonly watchers = new Set<Watcher>();

  get(key: ObjectKey): Stored | undefined {
    return this.#versions.get(placeOf(key))?.at(-1)?.stored;
  }

  /** Every object as it is now. */
  *all(): Iterable<Stored> {
    for (const versions of this.#versions.values()) {
      const stored = versions.at(-1)?.stored;
      if (stored !== undefined) yield stored;
    }
  }

  /** Appends a change; returns the revision that it supersedes. */
  apply(change: Change): number | undefined {
    const place = placeOf(change.key);
    let versions = this.#versions.get(place);
    if (versions === undefined) {
      versions = [];
      this.#versions.set(place, versions);
      this.#fresh.push(place);
    }
    const before = versions.at(-1);
    versions.push({ revision: change.revision, stored: change.stored });
    if (change.stored !== undefined) {
      const previous = before?.stored;
      this.#events.push({ kind: "put", stored: change.stored, ...(previous === undefined ? {} : { previous }) });
    } else if (before?.stored !== undefined) {
      this.#events.push({ kind: "delete", stored: before.stored, revision: change.revision });
    }
    return before?.revision;
  }

  /** Objects as they stood at a revision. */
  slice(namespace: string | undefined, { revision, after, limit, matches }: SliceOptions): Slice {
    const items: Stored[] = [];
    let remaining = 0;
    const prefix = namespace === undefined ? "" : `${namespace}\0`;
    const places = this.#sorted();
    let at = lowerBound(places, after === undefined ? prefix : `${after}\0`);
    for (; at < places.length; at += 1) {
      const place = places[at] ?? "";
      if (!place.startsWith(prefix)) break;
      const stored = versionAt(this.#versions.get(place) ?? [], revision)?.stored;
      if (stored === undefined || matches?.(stored.object) === false) continue;
      if (items.length < limit) items.push(stored);
      else remaining += 1;
    }
    return { items, remaining };
  }

  /** Drops the versions of an object that nobody at `revision` or later can see; returns their revisions. */
  forget(key: ObjectKey, revision: number): readonly number[] {
    const place = placeOf(key);
    const versions = this.#versions.get(place);
    const visible = versions === undefined ? undefined : versionAt(versions, revision);
    if (versions === undefined || visible === undefined) return [];
    const kept = versions.filter((version) =>
      version === visible ? version.stored !== undefined : version.revision > revision,
    );
    if (kept.length === 0) {
      this.#versions.delete(place);
      const places = this.#sorted();
      places.splice(lowerBound(places, place), 1);
    } else this.#versions.set(place, kept);
    return versions.filter((version) => !kept.includes(version)).map((version) => version.revision);
  }

  /** Drops the events up to a revision. */
  trim(revision: number): void {
    const from = this.#indexAfter(revision);
    const last = this.#events[from - 1];
    if (last === undefined) return;
    this.#trimmed = revisionOf(last);
    this.#events = this.#events.slice(from);
  }

  /** The first event after a revision. */
  next(after: number): StoreEvent | undefined {
    if (after < this.#trimmed) throw gone(after);
    return this.#events[this.#indexAfter(after)];
  }

  #sorted(): string[] {
    if (this.#fresh.length > 16) this.#places = [...this.#places, ...this.#fresh].toSorted();
    else for (const place of this.#fresh) this.#places.splice(lowerBound(this.#places, place), 0, place);
    this.#fresh = [];
    return this.#places;
  }

  #indexAfter(revision: number): number {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const event = this.#events[middle];
      if (event !== undefined && revisionOf(event) <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The revision that an event tells of. */
export function revisionOf(event: StoreEvent): number {
  return event.kind === "put" ? event.stored.revision : event.revision;
}

function gone(revision: number): WeftError {
  return new WeftError("Gone", `changes after revision ${revision} are no longer kept`);
}

/** What the history still holds of a change, in the order of revisions. */
interface Remembered {
  readonly key: ObjectKey;
  readonly revision: number;
  readonly size: number;
  readonly time: number;
}

/** How much of the past is kept. */
export interface Retention {
  /** Milliseconds that a change is kept at least, unless `maxBytes` is reached. */
  readonly maxAgeMs: number;
  /** Bytes of superseded and recent objects' text. */
  readonly maxBytes: number;
}

/** What stores keep unless told. */
export const defaultRetention: Retention = { maxAgeMs: 5 * 60_000, maxBytes: 32 * 1024 * 1024 };

/**
 * The committed state in memory: every object's versions since the last compaction, and the changes in the order of
 * revisions. Objects are parsed once, frozen, and shared by all readers. A watcher holds only its place in the changes,
 * so a slow one costs nothing until the history that it has not read is compacted.
 */
export class History {
  readonly #collections = new Map<string, Collection>();
  #changes: Remembered[] = [];
  #bytes = 0;
  #revision = 0;
  #compacted = 0;
  #ended: WeftError | undefined;

  /** The newest committed revision. */
  get revision(): number {
    return this.#revision;
  }

  /** Changes up to here are forgotten. */
  get compacted(): number {
    return this.#compacted;
  }

  get(key: ObjectKey): Stored | undefined {
    return this.#collection(key).get(key);
  }

  /** Every object as it is now. */
  *all(): Iterable<Stored> {
    for (const collection of this.#collections.values()) yield* collection.all();
  }

  /** Takes a committed change; the caller wakes watchers after the last one of a transaction. */
  apply(change: Change): void {
    this.#collection(change.key).apply(change);
    this.#changes.push({ key: change.key, revision: change.revision, size: change.size, time: change.time });
    this.#bytes += change.size;
    this.#revision = change.revision;
  }

  /** Goes on where a stored history ended: its newest changes may have been compacted away. */
  restore(revision: number, compacted: number): void {
    this.#revision = revision;
    this.compact(compacted);
  }

  /** Objects of a selection. */
  slice(selection: Selection, options: SliceOptions): Slice {
    return this.#collection(selection).slice(selection.namespace, options);
  }

  /** Throws `Gone` unless every change after a revision is at hand. */
  check(after: number): void {
    if (this.#ended) throw this.#ended;
    if (after < this.#compacted || after > this.#revision) throw gone(after);
  }

  /** The first event of a selection after a revision. @throws WeftError `Gone`. */
  next(selection: Selection, after: number): StoreEvent | undefined {
    if (this.#ended) throw this.#ended;
    return this.#collection(selection).next(after);
  }

  /** Nothing follows any more: all watchers end with an error, and so do those that begin. */
  end(error: WeftError): void {
    this.#ended = error;
    for (const watcher of this.allWatchers()) watcher.wake();
  }

  /** Watchers of one resource in one partition. */
  watchers(selection: Pick<Selection, "partition" | "resource">): Set<Watcher> {
    return this.#collection(selection).watchers;
  }

  /** Every watcher there is. */
  *allWatchers(): Iterable<Watcher> {
    for (const collection of this.#collections.values()) yield* collection.watchers;
  }

  /** Forgets changes up to a revision; returns the revisions that nothing needs any more. */
  compact(revision: number): readonly number[] {
    const target = Math.min(revision, this.#revision);
    if (target <= this.#compacted) return [];
    const count = this.#changes.findIndex((change) => change.revision > target);
    const past = count === -1 ? this.#changes : this.#changes.slice(0, count);
    this.#changes = count === -1 ? [] : this.#changes.slice(count);
    this.#compacted = target;
    const obsolete: number[] = [];
    const touched = new Set<Collection>();
    for (const change of past) {
      this.#bytes -= change.size;
      const collection = this.#collection(change.key);
      touched.add(collection);
      obsolete.push(...collection.forget(change.key, target));
    }
    for (const collection of touched) collection.trim(target);
    return obsolete;
  }

  /** The revision to compact to so that the retention holds; undefined while it does. */
  excess(retention: Retention, now: number): number | undefined {
    let bytes = this.#bytes;
    let revision: number | undefined;
    for (const change of this.#changes) {
      if (bytes <= retention.maxBytes && now - change.time <= retention.maxAgeMs) break;
      bytes -= change.size;
      revision = change.revision;
    }
    return revision;
  }

  #collection(of: Pick<Selection, "partition" | "resource">): Collection {
    const name = `${of.partition}\0${of.resource}`;
    let collection = this.#collections.get(name);
    if (collection === undefined) {
      collection = new Collection();
      this.#collections.set(name, collection);
    }
    return collection;
  }
}
