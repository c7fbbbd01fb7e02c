/** Remembers what was encoded lately, by key, up to a number of bytes. */
export class EncodedMemory<E extends { readonly length: number }> {
  readonly #limit: number;
  readonly #entries = new Map<string, E>();
  #bytes = 0;

  /** @param limit bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): E | undefined {
    const entry = this.#entries.get(key);
    if (entry) {
      // The map's order is that of use.
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
    return entry;
  }

  set(key: string, entry: E): void {
    this.#delete(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#limit || oldest === key) break;
      this.#delete(oldest);
    }
  }

  #delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.length ?? 0;
    this.#entries.delete(key);
  }
}
