import type { TypeUrl } from "#proto/encoded.ts";
import type { NameSet } from "./names.ts";

/**
 * The names that all streams ask for. Sets are interned, so one that many proxies ask for is in memory once and counts once: what
 * grows is what proxies ask for that no other does.
 */
export class HeldNames<S> {
  readonly #byStream = new Map<S, Map<TypeUrl, NameSet>>();
  /** How many streams and types ask for each set. */
  readonly #holds = new Map<NameSet, number>();
  #total = 0;

  /** How many names there are, those of each set once. */
  get total(): number {
    return this.#total;
  }

  /** A stream asks for these names of a type from now on. */
  set(stream: S, type: TypeUrl, names: NameSet): void {
    const sets = this.#byStream.get(stream) ?? new Map<TypeUrl, NameSet>();
    this.#byStream.set(stream, sets);
    const before = sets.get(type);
    sets.set(type, names);
    const holds = this.#holds.get(names) ?? 0;
    this.#holds.set(names, holds + 1);
    if (holds === 0) this.#total += names.size;
    if (before) this.#release(before);
  }

  /** A stream ended. */
  leave(stream: S): void {
    const sets = this.#byStream.get(stream);
    this.#byStream.delete(stream);
    for (const names of sets?.values() ?? []) this.#release(names);
  }

  /** The stream that asks for the most, of shared sets a share; undefined where there are none. */
  heaviest(): { readonly stream: S; readonly names: number } | undefined {
    let most: { readonly stream: S; readonly names: number } | undefined;
    for (const [stream, sets] of this.#byStream) {
      const names = [...sets.values()].reduce((sum, set) => sum + set.size / (this.#holds.get(set) ?? 1), 0);
      if (names > (most?.names ?? -1)) most = { stream, names };
    }
    return most;
  }

  #release(names: NameSet): void {
    const holds = (this.#holds.get(names) ?? 0) - 1;
    if (holds > 0) {
      this.#holds.set(names, holds);
      return;
    }
    this.#holds.delete(names);
    this.#total -= names.size;
  }
}
