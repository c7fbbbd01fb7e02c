/** An immutable set of names. Equal sets of one `NameSets` are the same object, so they compare by identity. */
export class NameSet {
  /** Tells this set from every other of its interner. */
  readonly id: number;
  readonly #names: ReadonlySet<string>;
  #characters: number | undefined;

  constructor(id: number, names: ReadonlySet<string>) {
    this.id = id;
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

  [Symbol.iterator](): Iterator<string> {
    return this.#names.values();
  }
}

interface NameHash {
  readonly a: number;
  readonly b: number;
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
    if (members.size === 0) return this.empty;
    const hash = this.#hashOf(members);
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
  plus(set: NameSet, more: Iterable<string>): NameSet {
    if (more === set || more === this.empty) return set;
    if (set === this.empty) return more instanceof NameSet ? more : this.of(more);
    return this.#combined("+", set, more, () => {
      const members = new Set(set);
      for (const name of more) members.add(name);
      return members;
    });
  }

  /** A set with fewer names. */
  minus(set: NameSet, fewer: Iterable<string>): NameSet {
    if (fewer === this.empty) return set;
    if (fewer === set || set === this.empty) return this.empty;
    return this.#combined("-", set, fewer, () => {
      const members = new Set(set);
      for (const name of fewer) members.delete(name);
      return members;
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
  #combined(sign: string, set: NameSet, other: Iterable<string>, combine: () => ReadonlySet<string>): NameSet {
    if (!(other instanceof NameSet)) return this.#changed(set, combine());
    const key = `${set.id}${sign}${other.id}`;
    const known = this.#combinations.get(key)?.deref();
    if (known) return known;
    const combined = this.#changed(set, combine());
    if (this.#combinations.size >= mostCombinations) this.#combinations.clear();
    this.#combinations.set(key, new WeakRef(combined));
    return combined;
  }

  #changed(set: NameSet, members: ReadonlySet<string>): NameSet {
    return members.size === set.size ? set : this.of(members);
  }

  /** A hash of a set that does not depend on its order: the sums of two hashes of its members. */
  #hashOf(names: ReadonlySet<string>): string {
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
    return `${names.size}.${a}.${b}`;
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
