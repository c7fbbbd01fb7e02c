import { createHash } from "node:crypto";
import type { Past, Shown } from "./shown.ts";

/** What a client is known to hold of a type: the starting point of a difference. */
export interface Base {
  /** Equal bases, equal keys. */
  readonly key: string;
  /** What is held of a resource. */
  held(name: string): Past | undefined;
  /** Names held. */
  names(): Iterable<string>;
}

/** A client that holds nothing. */
export const nothing: Base = {
  key: "nothing",
  held: () => undefined,
  names: () => [],
};

/** A client that told on connecting which versions it holds (`initial_resource_versions`). */
export function told(versions: Readonly<Record<string, string>>): Base {
  const names = Object.keys(versions).toSorted();
  if (names.length === 0) return nothing;
  const held = new Map(names.map((name) => [name, { version: versions[name] ?? "", resource: undefined }]));
  // Clients at one starting point share what is sent: no client can be let make its own look like another's.
  const text = JSON.stringify(names.map((name) => [name, versions[name]]));
  return {
    key: `told ${createHash("sha256").update(text).digest("base64url")}`,
    held: (name) => held.get(name),
    names: () => names,
  };
}

/** A client that was sent all of a view as of a revision. */
export class At implements Base {
  readonly shown: Shown;
  readonly revision: number;
  #changes: { readonly at: number; readonly names: ReadonlyMap<string, Past | undefined> } | undefined;

  constructor(shown: Shown, revision: number) {
    this.shown = shown;
    this.revision = revision;
  }

  get key(): string {
    return `${this.shown.key} at ${this.revision}`;
  }

  /** What changed since, with what was there before. */
  changes(): ReadonlyMap<string, Past | undefined> {
    const at = this.shown.revision;
    if (this.#changes?.at !== at) this.#changes = { at, names: this.shown.changedSince(this.revision) };
    return this.#changes.names;
  }

  held(name: string): Past | undefined {
    const changes = this.changes();
    if (changes.has(name)) return changes.get(name);
    const resource = this.shown.get(name);
    return resource && { version: resource.version, resource };
  }

  *names(): Generator<string> {
    const changes = this.changes();
    for (const resource of this.shown.resources()) if (!changes.has(resource.name)) yield resource.name;
    for (const [name, before] of changes) if (before) yield name;
  }
}

/** What a client was left with for now, by name; undefined where it is not known whether it holds it. */
export type Kept = ReadonlyMap<string, Past | undefined>;

/** A client that also holds what was to be taken away from it later. */
export class Keeping implements Base {
  readonly key: string;
  readonly base: Base;
  readonly #kept: Kept;

  constructor(base: Base, kept: Kept) {
    const versions = [...kept].map(([name, past]) => [name, past?.version]);
    this.key = `${base.key} and ${JSON.stringify(versions)}`;
    this.base = base;
    this.#kept = kept;
  }

  held(name: string): Past | undefined {
    return this.#kept.has(name) ? this.#kept.get(name) : this.base.held(name);
  }

  *names(): Generator<string> {
    yield* this.base.names();
    yield* this.#kept.keys();
  }
}
