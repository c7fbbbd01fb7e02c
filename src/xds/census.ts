/** How many scopes have a resource of each name: most of what views are asked for, and do not have, nobody has. */
export class Census {
  readonly #counts = new Map<string, number>();

  has(name: string): boolean {
    return this.#counts.has(name);
  }

  /** A scope has a resource by the name that it did not have. */
  came(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** A scope has none by the name any more. */
  went(name: string): void {
    const left = (this.#counts.get(name) ?? 0) - 1;
    if (left > 0) this.#counts.set(name, left);
    else this.#counts.delete(name);
  }
}
