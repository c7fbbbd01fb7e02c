import { addressNumber, addressText, cidrSize, parseCidr } from "#base/cidr.ts";
import type { Cidr } from "#base/cidr.ts";
import { WeftError } from "#base/errors.ts";

/**
 * Gives Pods addresses of the node's network. Goes round, so that an address that was just freed rests as long as possible:
 * others may still hold it in their tables.
 */
export class Addresses {
  readonly #cidr: Cidr;
  readonly #taken = new Set<number>();
  #last: number;

  /** @param podCidr the node's network; its first address is the node's own, its last one is kept free. */
  constructor(podCidr: string) {
    this.#cidr = parseCidr(podCidr);
    this.#last = this.#cidr.base + 1;
  }

  /** Marks an address that a Pod has already. */
  take(address: string): void {
    const number = addressNumber(address);
    this.#taken.add(number);
    this.#last = Math.max(this.#last, number);
  }

  /**
   * An address that no Pod has.
   * @throws WeftError `ResourceExhausted` when there is none.
   */
  next(): string {
    const first = this.#cidr.base + 2;
    const count = cidrSize(this.#cidr) - 3;
    for (let step = 1; step <= count; step += 1) {
      const candidate = first + ((((this.#last - first + step) % count) + count) % count);
      if (this.#taken.has(candidate)) continue;
      this.#taken.add(candidate);
      this.#last = candidate;
      return addressText(candidate);
    }
    throw new WeftError("ResourceExhausted", `all ${Math.max(count, 0)} Pod addresses of the node are taken`);
  }

  /** Takes an address back. */
  free(address: string): void {
    this.#taken.delete(addressNumber(address));
  }
}
