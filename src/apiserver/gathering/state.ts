/** What several servers told last of a kind, with versions: from it watches learn what has changed. */
import { hash } from "node:crypto";

/** An object that another server tells. */
export interface GatheredObject {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly status?: Readonly<Record<string, unknown>>;
}

/** An object, as it is and as a row of a table. */
export interface GatheredRow {
  readonly cells: readonly unknown[];
  readonly object: GatheredObject;
}

/** A row with its version. */
export interface VersionedRow extends GatheredRow {
  readonly version: number;
}

/** What has changed. */
export interface Change {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly row: VersionedRow;
}

interface Known {
  row: GatheredRow;
  /** Of what does not differ in each report. */
  steady: string;
  all: string;
  readonly created: number;
  version: number;
  /** When its version was made. */
  at: number;
  /** The row before its labels changed last. */
  former?: GatheredRow;
}

interface Gone {
  readonly row: GatheredRow;
  readonly created: number;
  readonly version: number;
}

/** Milliseconds for which changes of figures alone wait: agents tell of each proxy each ten seconds. */
const figuresMs = 60_000;
/** Objects that are gone of which is known. */
const mostGone = 10_000;

function keyOf({ metadata: { namespace = "", name } }: GatheredObject): string {
  return `${namespace}/${name}`;
}

function digest(value: object): string {
  return hash("sha1", JSON.stringify(value), "base64");
}

/** The objects of a kind, each with the version of its last change. */
export class GatheredState {
  readonly #known = new Map<string, Known>();
  readonly #steady: (object: GatheredObject) => object;
  #gone: Gone[] = [];
  #version: number;
  /** Watches that begin before it have missed something. */
  #floor: number;

  /**
   * @param first the first version: later ones must be greater than any of another process before.
   * @param steady an object without what differs in each report.
   */
  constructor(first: number, steady: (object: GatheredObject) => object) {
    this.#version = first;
    this.#floor = first;
    this.#steady = steady;
  }

  /** The version of the last change. */
  get version(): number {
    return this.#version;
  }

  /** Whether all changes after a version are known. */
  knows(version: number): boolean {
    return version >= this.#floor && version <= this.#version;
  }

  /**
   * Takes in what was told.
   * @param complete whether everybody told: what lacks otherwise may still be there.
   */
  apply(rows: readonly GatheredRow[], complete: boolean, now: number): void {
    const told = new Set<string>();
    for (const row of rows) {
      const key = keyOf(row.object);
      told.add(key);
      this.#take(key, row, now);
    }
    if (!complete) return;
    for (const [key, { row, created }] of this.#known) {
      if (told.has(key)) continue;
      this.#known.delete(key);
      this.#gone.push({ row, created, version: this.#next() });
    }
    const forgotten = this.#gone.slice(0, Math.max(0, this.#gone.length - mostGone));
    this.#floor = forgotten.at(-1)?.version ?? this.#floor;
    this.#gone = this.#gone.slice(forgotten.length);
  }

  #next(): number {
    this.#version += 1;
    return this.#version;
  }

  #take(key: string, row: GatheredRow, now: number): void {
    const [steady, all] = [digest(this.#steady(row.object)), digest(row.object)];
    const known = this.#known.get(key);
    if (!known) {
      const version = this.#next();
      this.#known.set(key, { row, steady, all, created: version, version, at: now });
      return;
    }
    const changed = known.steady !== steady || (known.all !== all && now - known.at >= figuresMs);
    const before = known.row;
    known.row = row;
    if (!changed) return;
    const relabelled = JSON.stringify(before.object.metadata.labels) !== JSON.stringify(row.object.metadata.labels);
    Object.assign(known, { steady, all, version: this.#next(), at: now, ...(relabelled && { former: before }) });
  }

  /** The version of an object as it was told last. */
  versionOf(object: GatheredObject): number {
    return this.#known.get(keyOf(object))?.version ?? this.#version;
  }

  /** What has changed since a version of what a selector means, the oldest first. */
  since(after: number, matches: (object: GatheredObject) => boolean): readonly Change[] {
    if (after === this.#version) return [];
    const changes: Change[] = [];
    const add = (type: Change["type"], row: GatheredRow, version: number): void =>
      void changes.push({ type, row: { ...row, version } });
    for (const { row, created, version } of this.#gone)
      if (version > after && created <= after && matches(row.object)) add("DELETED", row, version);
    for (const { row, created, version, former } of this.#known.values()) {
      if (version <= after) continue;
      const before = created <= after && (former === undefined || matches(former.object));
      if (matches(row.object)) add(before ? "MODIFIED" : "ADDED", row, version);
      else if (former && before) add("DELETED", former, version);
    }
    return changes.toSorted((a, b) => a.row.version - b.row.version);
  }

  /** Forgets all: who watches from an earlier version has to list again. */
  clear(): void {
    this.#known.clear();
    this.#gone = [];
    this.#floor = this.#next();
  }
}
