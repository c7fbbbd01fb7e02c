import type { EncodedResource, TypeUrl } from "#proto/encoded.ts";
import type { NameSet } from "./names.ts";
import type { Changes, Scope } from "./scope.ts";

/** What a proxy asks of a type: everything, some names, or both. */
export interface Subscription {
  readonly wildcard: boolean;
  readonly names: NameSet;
}

/** Who shows a view to a proxy. */
export interface ViewUser {
  /** Revision of the view that the proxy holds; undefined when it holds something else. */
  position(view: View): number | undefined;
  /** Something of the view became due. */
  due(): void;
}

/** A resource as it was. Its bytes are kept only where a state-of-the-world set may have to hold it once more. */
export interface Past {
  readonly version: string;
  readonly resource: EncodedResource | undefined;
}

interface LoggedChange {
  readonly revision: number;
  readonly name: string;
  readonly before: Past | undefined;
}

/** Changes that a view remembers for proxies that lag behind, at least; more when it has many resources. */
const leastRemembered = 1024;
const firstTrim = 64;

/**
 * What all proxies see that have the same scopes and the same subscription for a type: its resources now, and what
 * changed since a revision. Revisions are the engine's, so a proxy's whole position is one number.
 */
export class View {
  readonly id: number;
  readonly type: TypeUrl;
  readonly scopes: readonly Scope[];
  readonly subscription: Subscription;
  readonly users = new Set<ViewUser>();
  /** What was encoded for proxies of this view, by what they held; see `pushes.ts`. Emptied by each change. */
  readonly encoded = new Map<string, object>();
  /** Revision in which what is seen last changed. */
  revision: number;
  /** Positions before this one can no longer be told from now. */
  floor: number;
  #log: LoggedChange[] = [];
  #trimAt = firstTrim;

  constructor(id: number, type: TypeUrl, scopes: readonly Scope[], subscription: Subscription, revision: number) {
    this.id = id;
    this.type = type;
    this.scopes = scopes;
    this.subscription = subscription;
    this.revision = revision;
    this.floor = revision;
  }

  /** Whether the proxies asked for this name. */
  asksFor(name: string): boolean {
    return this.subscription.wildcard || this.subscription.names.has(name);
  }

  /** The resource as these proxies see it. */
  get(name: string): EncodedResource | undefined {
    if (!this.asksFor(name)) return undefined;
    for (const scope of this.scopes) {
      const resource = scope.get(name);
      if (resource) return resource;
    }
    return undefined;
  }

  /** Every resource seen. */
  *resources(): Generator<EncodedResource> {
    for (const name of this.#names()) {
      const resource = this.get(name);
      if (resource) yield resource;
    }
  }

  /** What was there before, for each name that changed after a revision. */
  changedSince(revision: number): ReadonlyMap<string, Past | undefined> {
    const changes = new Map<string, Past | undefined>();
    for (let at = this.#log.length - 1; at >= 0; at -= 1) {
      const change = this.#log[at];
      if (!change || change.revision <= revision) break;
      changes.set(change.name, change.before);
    }
    return changes;
  }

  /** Takes in one settled change of its scopes. Returns whether the view changed. */
  settle(revision: number, changed: ReadonlyMap<Scope, Changes>): boolean {
    const seen = new Set<string>();
    for (const scope of this.scopes) for (const name of changed.get(scope)?.keys() ?? []) seen.add(name);
    let moved = false;
    for (const name of seen) {
      if (!this.asksFor(name)) continue;
      const before = this.#before(name, changed);
      if (before?.version === this.get(name)?.version) continue;
      const resource = this.subscription.wildcard ? before : undefined;
      this.#log.push({ revision, name, before: before && { version: before.version, resource } });
      moved = true;
    }
    if (!moved) return false;
    this.revision = revision;
    this.encoded.clear();
    if (this.#log.length > this.#trimAt) this.#trim();
    return true;
  }

  #before(name: string, changed: ReadonlyMap<Scope, Changes>): EncodedResource | undefined {
    for (const scope of this.scopes) {
      const changes = changed.get(scope);
      const resource = changes?.has(name) ? changes.get(name) : scope.get(name);
      if (resource) return resource;
    }
    return undefined;
  }

  #names(): Iterable<string> {
    if (!this.subscription.wildcard) return this.subscription.names;
    const [first, ...others] = this.scopes;
    if (first && others.length === 0) return first.names();
    return new Set(this.scopes.flatMap((scope) => [...scope.names()]));
  }

  /** Forgets what every proxy has got, and what only the slowest still lack when that is too much. */
  #trim(): void {
    let least = this.revision;
    for (const user of this.users) least = Math.min(least, user.position(this) ?? least);
    const limit = Math.max(leastRemembered, 2 * this.subscription.names.size);
    const surplus = this.#log[this.#log.length - limit - 1]?.revision ?? 0;
    const floor = Math.max(least, surplus);
    this.#log = this.#log.filter((change) => change.revision > floor);
    this.floor = Math.max(this.floor, floor);
    this.#trimAt = Math.max(firstTrim, 2 * this.#log.length);
  }
}
