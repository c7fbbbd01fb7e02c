/** Two hashes of a name; of a set the sums of its members'. */
interface NameHash {
  readonly a: number;
  readonly b: number;
}

/** An immutable set of names. Equal sets of one `NameSets` are the same object, so they compare by identity. */
export class NameSet {
  /** Tells this set from every other of its interner. */
  readonly id: number;
  /** The same for sets of the same names, whatever their order. */
  readonly hash: NameHash;
  readonly #names: ReadonlySet<string>;
  #characters: number | undefined;

  constructor(id: number, hash: NameHash, names: ReadonlySet<string>) {
    this.id = id;
    this.hash = hash;
    this.#names = names;
  }

  get size(): number {
    return this.#names.size;
  }

  /** Characters of all names. */
  get characters(): number {
    this.#characters ??= this.#names.values().reduce((sum, name) => sum + name.length, 0);
    return this.#characters;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  [Symbol.iterator](): SetIterator<string> {
    return this.#names.values();
  }

  /** A copy of its names, and these. */
  with(names: ReadonlySet<string>): ReadonlySet<string> {
    return this.#names.union(names);
  }

  /** A copy of its names but these. */
  without(names: ReadonlySet<string>): ReadonlySet<string> {
    return this.#names.difference(names);
  }
}

function hashOfName(name: string): NameHash {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let at = 0; at < name.length; at += 1) {
    const unit = name.charCodeAt(at);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x85ebca6b) ^ (b >>> 13);
  }
  return { a, b: b ^ (a >>> 7) };
}

/** Names whose hashes are remembered, and their characters in all: looking one up is several times faster than to work it out. */
const mostHashes = 100_000;
const mostCharacters = 4 * 1024 * 1024;
/** Characters of a name whose hash is remembered: longer ones are few, unless somebody means ill. */
const longestRemembered = 256;
const mostCombinations = 4096;
/** Names of a list whose set is remembered with it. */
const longList = 64;

function holdsAll(set: NameSet, names: Iterable<string>): boolean {
  for (const name of names) if (!set.has(name)) return false;
  return true;
}

const noHash: NameHash = { a: 0, b: 0 };

function sum(one: NameHash, other: NameHash): NameHash {
  return { a: Math.trunc(one.a + other.a) | 0, b: Math.trunc(one.b + other.b) | 0 };
}

function without(one: NameHash, other: NameHash): NameHash {
  return { a: Math.trunc(one.a - other.a) | 0, b: Math.trunc(one.b - other.b) | 0 };
}

/** A set that may be known already. */
interface Wanted {
  readonly size: number;
  readonly hash: NameHash;
  /** Whether a set of that size has these names. */
  readonly is: (set: NameSet) => boolean;
  readonly make: () => ReadonlySet<string>;
}

/**
 * Interns sets of names: what a thousand proxies subscribe to is one set in memory, and one key of what is encoded for
 * it. A set that nobody holds any more is forgotten.
 */
export class NameSets {
  /** The set without names. */
  readonly empty = new NameSet(0, noHash, new Set());
  readonly #combinations = new Map<string, WeakRef<NameSet>>();
  /** Sets of long lists, which many proxies share (`NameLists`). */
  readonly #ofLists = new WeakMap<readonly string[], NameSet>();
  readonly #hashes = new Map<string, NameHash>();
  /** Characters of the names in it. */
  #characters = 0;
  #made = 0;
  readonly #known = new Map<string, readonly WeakRef<NameSet>[]>();
  readonly #gone = new FinalizationRegistry<string>((hash) => this.#forget(hash));

  /** The set of these names. */
  of(names: Iterable<string>): NameSet {
    if (!Array.isArray(names) || names.length < longList) return this.#of(names);
    let set = this.#ofLists.get(names);
    if (!set) {
      set = this.#of(names as readonly string[]);
      this.#ofLists.set(names, set);
    }
    return set;
  }

  #of(names: Iterable<string>): NameSet {
    const members = new Set(names);
    const { size } = members;
    const is = (set: NameSet): boolean => holdsAll(set, members);
    return this.#interned({ size, hash: this.#hashOf(members), is, make: () => members });
  }

  #interned({ size, hash, is, make }: Wanted): NameSet {
    if (size === 0) return this.empty;
    const key = `${size}.${hash.a}.${hash.b}`;
    const known = this.#known.get(key) ?? [];
    for (const reference of known) {
      const set = reference.deref();
      if (set?.size === size && is(set)) return set;
    }
    this.#made += 1;
    const set = new NameSet(this.#made, hash, make());
    this.#known.set(key, [...known, new WeakRef(set)]);
    this.#gone.register(set, key);
    return set;
  }

  /** A set with more names. */
  plus(set: NameSet, more: Iterable<string>): NameSet {
    if (more === set || more === this.empty) return set;
    if (set === this.empty) return more instanceof NameSet ? more : this.of(more);
    return this.#combined("+", set, more, () => {
      const added = new Set<string>();
      for (const name of more) if (!set.has(name)) added.add(name);
      return this.#interned({
        size: set.size + added.size,
        hash: sum(set.hash, this.#hashOf(added)),
        is: (known) => holdsAll(known, added) && holdsAll(known, set),
        make: () => set.with(added),
      });
    });
  }

  /** A set with fewer names. */
  minus(set: NameSet, fewer: Iterable<string>): NameSet {
    if (fewer === this.empty) return set;
    if (fewer === set || set === this.empty) return this.empty;
    return this.#combined("-", set, fewer, () => {
      const removed = new Set<string>();
      for (const name of fewer) if (set.has(name)) removed.add(name);
      return this.#interned({
        size: set.size - removed.size,
        hash: without(set.hash, this.#hashOf(removed)),
        is: (known) => set[Symbol.iterator]().every((name) => known.has(name) || removed.has(name)),
        make: () => set.without(removed),
      });
    });
  }

  /** The names of a set that another has too. */
  both(set: NameSet, other: NameSet): NameSet {
    for (const name of set) if (!other.has(name)) return this.filter(set, (each) => other.has(each));
    return set;
  }

  /** The names of a set that a test holds for. */
  filter(set: NameSet, test: (name: string) => boolean): NameSet {
    const members = [...set].filter(test);
    return members.length === set.size ? set : this.of(members);
  }

  /** What a thousand proxies make of the same two sets is worked out once. */
  #combined(sign: string, set: NameSet, other: Iterable<string>, combine: () => NameSet): NameSet {
    if (!(other instanceof NameSet)) return combine();
    const key = `${set.id}${sign}${other.id}`;
    const known = this.#combinations.get(key)?.deref();
    if (known) return known;
    const combined = combine();
    if (this.#combinations.size >= mostCombinations) this.#combinations.clear();
    this.#combinations.set(key, new WeakRef(combined));
    return combined;
  }

  /** A hash of a set that does not depend on its order: the sums of two hashes of its members. */
  #hashOf(names: ReadonlySet<string>): NameHash {
    let a = 0;
    let b = 0;
    for (const name of names) {
      let hash = this.#hashes.get(name);
      if (!hash) {
        hash = hashOfName(name);
        this.#rememberHash(name, hash);
      }
      a = Math.trunc(a + hash.a) | 0;
      b = Math.trunc(b + hash.b) | 0;
    }
    return { a, b };
  }

  #rememberHash(name: string, hash: NameHash): void {
    if (name.length > longestRemembered) return;
    if (this.#hashes.size >= mostHashes || this.#characters >= mostCharacters) {
      this.#hashes.clear();
      this.#characters = 0;
    }
    this.#hashes.set(name, hash);
    this.#characters += name.length;
  }

  #forget(hash: string): void {
    const left = (this.#known.get(hash) ?? []).filter((reference) => reference.deref() !== undefined);
    if (left.length > 0) this.#known.set(hash, left);
    else this.#known.delete(hash);
  }
}
