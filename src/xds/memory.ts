import type { Message } from "./message.ts";

/** Something with bytes worth to be shared. */
export type Encoded = Message | { readonly bytes: Uint8Array };

/** Remembers what was encoded lately, by key, up to a number of bytes. */
export class EncodedMemory {
  readonly #limit: number;
  readonly #entries = new Map<string, Encoded>();
  #bytes = 0;

  /** @param limit bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): Encoded | undefined {
    const entry = this.#entries.get(key);
    if (entry) {
      // The map's order is that of use.
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
    return entry;
  }

  set(key: string, entry: Encoded): void {
    this.#delete(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#limit || oldest === key) break;
      this.#delete(oldest);
    }
  }

  #delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes.length ?? 0;
    this.#entries.delete(key);
  }
}
