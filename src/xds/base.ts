import { createHash } from "node:crypto";
import type { EncodedResource } from "#proto/encoded.ts";
import type { Past, View } from "./view.ts";

/** What a client is known to hold of a type: the starting point of a difference. */
export interface Base {
  /** Equal bases, equal keys. */
  readonly key: string;
  /** Version held of a resource. */
  versionOf(name: string): string | undefined;
  /** The resource held, where its bytes are known. */
  resourceOf(name: string): EncodedResource | undefined;
  /** Names held. */
  names(): Iterable<string>;
}

/** A client that holds nothing. */
export const nothing: Base = {
  key: "nothing",
  versionOf: () => undefined,
  resourceOf: () => undefined,
  names: () => [],
};

/** A client that told on connecting which versions it holds (`initial_resource_versions`). */
export function told(versions: Readonly<Record<string, string>>): Base {
  const names = Object.keys(versions).toSorted();
  if (names.length === 0) return nothing;
  const held = new Map(names.map((name) => [name, versions[name] ?? ""]));
  const hash = createHash("sha1");
  for (const [name, version] of held) hash.update(`${name}\n${version}\n`);
  return {
    key: `told ${hash.digest("base64url")}`,
    versionOf: (name) => held.get(name),
    resourceOf: () => undefined,
    names: () => names,
  };
}

/** A client that was sent all of a view as of a revision. */
export class At implements Base {
  readonly key: string;
  readonly view: View;
  readonly revision: number;

  constructor(view: View, revision: number) {
    this.key = `${view.id}@${revision}`;
    this.view = view;
    this.revision = revision;
  }

  /** What changed since, with what was there before. */
  changes(): ReadonlyMap<string, Past | undefined> {
    return this.view.changedSince(this.revision);
  }

  versionOf(name: string): string | undefined {
    return this.#past(name)?.version;
  }

  resourceOf(name: string): EncodedResource | undefined {
    return this.#past(name)?.resource;
  }

  *names(): Generator<string> {
    const changes = this.#since();
    for (const resource of this.view.resources()) if (!changes.has(resource.name)) yield resource.name;
    for (const [name, before] of changes) if (before) yield name;
  }

  #memo: { readonly at: number; readonly changes: ReadonlyMap<string, Past | undefined> } | undefined;

  #since(): ReadonlyMap<string, Past | undefined> {
    const at = this.view.revision;
    if (this.#memo?.at !== at) this.#memo = { at, changes: this.changes() };
    return this.#memo.changes;
  }

  #past(name: string): Past | undefined {
    const changes = this.#since();
    if (changes.has(name)) return changes.get(name);
    const resource = this.view.get(name);
    return resource && { version: resource.version, resource };
  }
}
