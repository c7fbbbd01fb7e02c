import type { TypeUrl } from "#proto/encoded.ts";
import type { NameSet } from "./names.ts";

/** Names by type. */
export type OwedNames = ReadonlyMap<TypeUrl, NameSet>;

/** Proxies whose debts are remembered. */
const mostProxies = 10_000;

/**
 * What proxies were owed when their streams broke. Envoy tells on reconnecting which endpoints it holds, but not that
 * a cluster which it got just before the break waits to be given them again.
 */
export class OwedStore {
  readonly #owed = new Map<string, OwedNames>();

  /** A proxy's stream ended, with debts or without. */
  keep(proxy: string, owed: OwedNames): void {
    this.#owed.delete(proxy);
    if (owed.size === 0) return;
    this.#owed.set(proxy, owed);
    const [oldest] = this.#owed.keys();
    if (this.#owed.size > mostProxies && oldest !== undefined) this.#owed.delete(oldest);
  }

  /** A proxy is back. */
  take(proxy: string): OwedNames {
    const owed = this.#owed.get(proxy) ?? new Map<TypeUrl, NameSet>();
    this.#owed.delete(proxy);
    return owed;
  }
}
