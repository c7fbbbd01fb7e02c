import type { TypeUrl } from "#proto/encoded.ts";
import type { NameSet } from "./names.ts";

/** Names by type. */
export type OwedNames = ReadonlyMap<TypeUrl, NameSet>;

/** Proxies whose debts are remembered, and names in their sets, each of which counts once. */
const mostProxies = 10_000;
const mostNames = 1_000_000;

/**
 * What proxies were owed when their streams broke. Envoy tells on reconnecting which endpoints it holds, but not that
 * a cluster which it got just before the break waits to be given them again.
 */
export class OwedStore {
  readonly #owed = new Map<string, OwedNames>();
  /** How many of the debts have each set. */
  readonly #uses = new Map<NameSet, number>();
  #names = 0;

  /** Names in all debts; a set that many have counts once. */
  get names(): number {
    return this.#names;
  }

  /** A proxy's stream ended, with debts or without. */
  keep(proxy: string, owed: OwedNames): void {
    this.#forget(proxy);
    if (owed.size === 0) return;
    this.#owed.set(proxy, owed);
    for (const set of owed.values()) this.#use(set, 1);
    for (const oldest of this.#owed.keys()) {
      if (this.#owed.size <= mostProxies && this.#names <= mostNames) break;
      this.#forget(oldest);
    }
  }

  /** A proxy is back. */
  take(proxy: string): OwedNames {
    const owed = this.#owed.get(proxy) ?? new Map<TypeUrl, NameSet>();
    this.#forget(proxy);
    return owed;
  }

  #forget(proxy: string): void {
    for (const set of this.#owed.get(proxy)?.values() ?? []) this.#use(set, -1);
    this.#owed.delete(proxy);
  }

  #use(set: NameSet, by: 1 | -1): void {
    const before = this.#uses.get(set) ?? 0;
    if (before + by > 0) this.#uses.set(set, before + by);
    else this.#uses.delete(set);
    if (before === 0) this.#names += set.size;
    else if (before + by === 0) this.#names -= set.size;
  }
}
