import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Engine, Observation } from "#incremental/engine.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import type { Census } from "./census.ts";
import type { ResourceSource, ScopeKey } from "./port.ts";

/** Names whose resources became others in one change, each with what it was before. */
export type Changes = ReadonlyMap<string, EncodedResource | undefined>;

/** What scopes need. */
export interface ScopeContext {
  readonly engine: Engine;
  readonly source: ResourceSource;
  readonly logger: Logger;
  /** Told of what all scopes have. */
  readonly census: Census;
  /** Called during a change that touched the scope, before it is settled; perhaps more than once. */
  readonly touched: (scope: Scope) => void;
}

interface Entry {
  readonly observation: Observation<EncodedResource | undefined>;
  resource: EncodedResource | undefined;
  users: number;
}

/**
 * The resources of one scope that some proxy holds, kept up to date by observing their queries. A whole scope holds
 * every resource that the source names; otherwise those that were retained by name.
 */
export class Scope {
  readonly key: ScopeKey;
  /** Whether it holds every resource that the source names. */
  readonly whole: boolean;
  readonly #context: ScopeContext;
  readonly #entries = new Map<string, Entry>();
  readonly #dirty = new Set<string>();
  readonly #listing: Observation<readonly string[]> | undefined;
  #listed: ReadonlySet<string> = new Set();
  #listingDirty = false;

  constructor(key: ScopeKey, whole: boolean, context: ScopeContext) {
    this.key = key;
    this.whole = whole;
    this.#context = context;
    if (!whole) return;
    this.#listing = context.engine.observe(context.source.names, key, () => {
      this.#listingDirty = true;
      context.touched(this);
    });
    this.#relist(new Map());
  }

  /** The resource of that name as of the last settled change. */
  get(name: string): EncodedResource | undefined {
    return this.#entries.get(name)?.resource;
  }

  /** How many names may have a resource. */
  get size(): number {
    return this.#entries.size;
  }

  /** Names that may have a resource. */
  names(): Iterable<string> {
    return this.#entries.keys();
  }

  /** Observes a name, until it is released as often as it was retained. */
  retain(name: string): void {
    const known = this.#entries.get(name);
    if (known) {
      known.users += 1;
      return;
    }
    const { engine, source, touched } = this.#context;
    const observation = engine.observe(source.resource, { scope: this.key, name }, () => {
      this.#dirty.add(name);
      touched(this);
    });
    const entry: Entry = { observation, resource: undefined, users: 1 };
    this.#update(name, entry);
    this.#entries.set(name, entry);
  }

  release(name: string): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#letGo(name, entry);
    this.#entries.delete(name);
    this.#dirty.delete(name);
  }

  /** Takes in the change that just happened. */
  settle(): Changes {
    const changes = new Map<string, EncodedResource | undefined>();
    for (const name of this.#dirty) {
      const entry = this.#entries.get(name);
      if (!entry) continue;
      const before = entry.resource;
      this.#update(name, entry);
      if (before?.version !== entry.resource?.version) changes.set(name, before);
    }
    this.#dirty.clear();
    if (this.#listingDirty) this.#relist(changes);
    return changes;
  }

  /** Stops observing. */
  dispose(): void {
    this.#listing?.[Symbol.dispose]();
    for (const [name, entry] of this.#entries) this.#letGo(name, entry);
    this.#entries.clear();
  }

  #letGo(name: string, { observation, resource }: Entry): void {
    observation[Symbol.dispose]();
    if (resource) this.#context.census.went(name);
  }

  #update(name: string, entry: Entry): void {
    const had = entry.resource !== undefined;
    entry.resource = this.#read(name, entry);
    if (had === (entry.resource !== undefined)) return;
    if (had) this.#context.census.went(name);
    else this.#context.census.came(name);
  }

  #relist(changes: Map<string, EncodedResource | undefined>): void {
    this.#listingDirty = false;
    const before = this.#listed;
    const listed = this.#guarded(() => new Set(this.#listing?.current), before, "names");
    for (const name of listed) {
      if (before.has(name)) continue;
      this.retain(name);
      if (this.get(name)) changes.set(name, undefined);
    }
    for (const name of before) {
      if (listed.has(name)) continue;
      const resource = changes.has(name) ? changes.get(name) : this.get(name);
      this.release(name);
      if (resource) changes.set(name, resource);
      else changes.delete(name);
    }
    this.#listed = listed;
  }

  #read(name: string, entry: Entry): EncodedResource | undefined {
    return this.#guarded(() => entry.observation.current, entry.resource, name);
  }

  /** A query that fails leaves the last good value serving. */
  #guarded<V>(read: () => V, last: V, what: string): V {
    try {
      return read();
    } catch (fault) {
      this.#context.logger.error("a resource could not be computed; its last value stays", {
        scope: this.key,
        what,
        error: messageOf(fault),
      });
      return last;
    }
  }
}
