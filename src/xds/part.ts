import type { EncodedResource } from "#proto/encoded.ts";
import type { NameSet, NameSets } from "./names.ts";
import type { Changes, Scope } from "./scope.ts";
import type { Difference } from "./difference.ts";
import type { Past, Shown, Subscription } from "./shown.ts";

/** Who shows a part to a proxy. */
export interface PartUser {
  /** Revision as of which the proxy holds the part; undefined when it holds something else. */
  position(part: Part): number | undefined;
  /** Something of the part became due. */
  due(): void;
}

interface LoggedChange {
  readonly revision: number;
  readonly name: string;
  readonly before: Past | undefined;
}

/** Changes that a part remembers for proxies that lag behind, at least; more when it has many resources. */
const leastRemembered = 1024;
const firstTrim = 64;

/**
 * What whoever stands at one of some positions needs of a log: of each name the first change after each position.
 * @param positions rising.
 */
function needed(log: readonly LoggedChange[], positions: readonly number[]): LoggedChange[] {
  const needs: LoggedChange[] = [];
  const named = new Set<string>();
  let passed = 0;
  for (const change of log) {
    for (; (positions[passed] ?? Infinity) < change.revision; passed += 1) named.clear();
    if (passed === 0 || named.has(change.name)) continue;
    named.add(change.name);
    needs.push(change);
  }
  return needs;
}

/**
 * What all proxies see of one scope that have the same subscription: its resources now, and what changed since a
 * revision. Revisions are the engine's, so a proxy's whole position is one number.
 */
export class Part implements Shown {
  readonly scope: Scope;
  readonly subscription: Subscription;
  readonly #id: number;
  // Of most parts, which are one proxy's own, nothing is remembered.
  #differences: Map<string, Difference> | undefined;
  #added: Map<number, NameSet> | undefined;
  readonly #users = new Map<PartUser, number>();
  #log: LoggedChange[] = [];
  #trimAt = firstTrim;
  #revision: number;
  #grownAt: number;
  #floor: number;
  #names: { readonly revision: number; readonly set: NameSet } | undefined;

  constructor(id: number, scope: Scope, subscription: Subscription, revision: number) {
    this.#id = id;
    this.scope = scope;
    this.subscription = subscription;
    this.#revision = revision;
    this.#grownAt = revision;
    this.#floor = revision;
  }

  get key(): string {
    return `part ${this.#id}`;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Revision in which a resource last came to it that it did not have. */
  get grownAt(): number {
    return this.#grownAt;
  }

  get floor(): number {
    return this.#floor;
  }

  /** Differences to now, by what a proxy held. Emptied by each change. */
  get differences(): Map<string, Difference> {
    this.#differences ??= new Map();
    return this.#differences;
  }

  get scopes(): readonly Scope[] {
    return [this.scope];
  }

  /** Whether more than one proxy shows it. */
  get shared(): boolean {
    return this.#users.size > 1;
  }

  /** Who shows it now. */
  users(): Iterable<PartUser> {
    return this.#users.keys();
  }

  get used(): boolean {
    return this.#users.size > 0;
  }

  /** A user may hold a part more than once, such as in what its proxy has and in what it is to get. */
  hold(user: PartUser): void {
    this.#users.set(user, (this.#users.get(user) ?? 0) + 1);
  }

  release(user: PartUser): void {
    const held = (this.#users.get(user) ?? 0) - 1;
    if (held > 0) this.#users.set(user, held);
    else this.#users.delete(user);
  }

  /** Names of all resources, as one set while these are the same. */
  names(sets: NameSets): NameSet {
    if (this.#names?.revision !== this.#revision) {
      const all = [...this.resources()].map((resource) => resource.name);
      this.#names = { revision: this.#revision, set: sets.of(all) };
    }
    return this.#names.set;
  }

  /** Names that have come since a revision. */
  added(sets: NameSets, revision: number): NameSet {
    this.#added ??= new Map();
    let added = this.#added.get(revision);
    if (!added) {
      const changes = [...this.changedSince(revision)];
      added = sets.of(changes.flatMap(([name, before]) => (before === undefined && this.get(name) ? [name] : [])));
      this.#added.set(revision, added);
    }
    return added;
  }

  asksFor(name: string): boolean {
    return this.subscription.wildcard || this.subscription.names.has(name);
  }

  get(name: string): EncodedResource | undefined {
    return this.asksFor(name) ? this.scope.get(name) : undefined;
  }

  *resources(): Generator<EncodedResource> {
    for (const name of this.subscription.wildcard ? this.scope.names() : this.subscription.names) {
      const resource = this.scope.get(name);
      if (resource) yield resource;
    }
  }

  changedSince(revision: number): ReadonlyMap<string, Past | undefined> {
    const changes = new Map<string, Past | undefined>();
    for (let at = this.#log.length - 1; at >= 0; at -= 1) {
      const change = this.#log[at];
      if (!change || change.revision <= revision) break;
      changes.set(change.name, change.before);
    }
    return changes;
  }

  /** The revision of the last change up to one: whoever holds either holds the same. */
  positionAt(revision: number): number {
    if (revision >= this.#revision) return this.#revision;
    const change = this.#log.findLast((logged) => logged.revision <= revision);
    return change?.revision ?? this.#floor;
  }

  /** Takes in one settled change of its scope. Returns whether the part changed. */
  settle(revision: number, changes: Changes): boolean {
    let moved = 0;
    for (const [name, resource] of changes) {
      if (!this.asksFor(name)) continue;
      const kept = this.subscription.wildcard ? resource : undefined;
      this.#log.push({ revision, name, before: resource && { version: resource.version, resource: kept } });
      if (!resource) this.#grownAt = revision;
      moved += 1;
    }
    if (moved === 0) return false;
    this.#revision = revision;
    this.#differences = undefined;
    this.#added = undefined;
    if (this.#log.length > this.#trimAt) this.#trim(moved);
    return true;
  }

  /**
   * Forgets what no proxy needs any more, and what only the slowest still need when that is too much.
   * @param moved how many resources just changed: a change of everything must reach those who hold what was before.
   */
  #trim(moved: number): void {
    const positions = this.#positions();
    const log = needed(this.#log, positions);
    const size = this.subscription.wildcard ? this.scope.size : this.subscription.names.size;
    const limit = Math.max(leastRemembered, 2 * size, 2 * moved);
    const surplus = log[log.length - limit - 1]?.revision ?? 0;
    this.#log = log.filter((change) => change.revision > surplus);
    this.#floor = Math.max(this.#floor, surplus, positions[0] ?? this.#revision);
    this.#trimAt = Math.max(firstTrim, 2 * this.#log.length);
  }

  /** Where proxies stand, rising. */
  #positions(): readonly number[] {
    const positions = new Set<number>();
    for (const user of this.#users.keys()) {
      const position = user.position(this);
      if (position !== undefined) positions.add(position);
    }
    return [...positions].toSorted((a, b) => a - b);
  }
}
