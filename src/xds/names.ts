/** An immutable set of names. Equal sets of one `NameSets` are the same object, so they compare by identity. */
export class NameSet {
  /** Tells this set from every other of its interner. */
  readonly id: number;
  readonly #names: ReadonlySet<string>;

  constructor(id: number, names: ReadonlySet<string>) {
    this.id = id;
    this.#names = names;
  }

  get size(): number {
    return this.#names.size;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#names.values();
  }
}

/** A hash of a set that does not depend on its order: the sums of two hashes of its members. */
function hashOf(names: ReadonlySet<string>): string {
  let a = 0;
  let b = 0;
  for (const name of names) {
    let h = 0x811c9dc5;
    let g = 0x9e3779b9;
    for (let at = 0; at < name.length; at += 1) {
      const unit = name.charCodeAt(at);
      h = Math.imul(h ^ unit, 0x01000193);
      g = Math.imul(g ^ unit, 0x85ebca6b) ^ (g >>> 13);
    }
    a = Math.trunc(a + h) | 0;
    b = Math.trunc(b + (g ^ (h >>> 7))) | 0;
  }
  return `${names.size}.${a}.${b}`;
}

function holds(set: NameSet, names: ReadonlySet<string>): boolean {
  if (set.size !== names.size) return false;
  for (const name of names) if (!set.has(name)) return false;
  return true;
}

/**
 * Interns sets of names: what a thousand proxies subscribe to is one set in memory, and one key of what is encoded for
 * it. A set that nobody holds any more is forgotten.
 */
export class NameSets {
  /** The set without names. */
  readonly empty = new NameSet(0, new Set());
  #made = 0;
  readonly #known = new Map<string, readonly WeakRef<NameSet>[]>();
  readonly #gone = new FinalizationRegistry<string>((hash) => this.#forget(hash));

  /** The set of these names. */
  of(names: Iterable<string>): NameSet {
    const members = new Set(names);
    if (members.size === 0) return this.empty;
    const hash = hashOf(members);
    const known = this.#known.get(hash) ?? [];
    for (const reference of known) {
      const set = reference.deref();
      if (set && holds(set, members)) return set;
    }
    this.#made += 1;
    const set = new NameSet(this.#made, members);
    this.#known.set(hash, [...known, new WeakRef(set)]);
    this.#gone.register(set, hash);
    return set;
  }

  /** A set with more names. */
  plus(set: NameSet, more: Iterable<string> & { readonly size?: number }): NameSet {
    if (more === set || more === this.empty) return set;
    if (set === this.empty) return more instanceof NameSet ? more : this.of(more);
    const members = new Set(set);
    for (const name of more) members.add(name);
    return members.size === set.size ? set : this.of(members);
  }

  /** A set with fewer names. */
  minus(set: NameSet, fewer: Iterable<string>): NameSet {
    if (fewer === set || set === this.empty) return this.empty;
    const members = new Set(set);
    for (const name of fewer) members.delete(name);
    return members.size === set.size ? set : this.of(members);
  }

  /** The names of a set that a test holds for. */
  filter(set: NameSet, test: (name: string) => boolean): NameSet {
    const members = [...set].filter(test);
    return members.length === set.size ? set : this.of(members);
  }

  #forget(hash: string): void {
    const left = (this.#known.get(hash) ?? []).filter((reference) => reference.deref() !== undefined);
    if (left.length > 0) this.#known.set(hash, left);
    else this.#known.delete(hash);
  }
}
