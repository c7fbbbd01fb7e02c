import type { Derived } from "./node.ts";

/** Queries that read something which changed, to be computed anew from the lowest up. */
export class Agenda {
  readonly #levels = new Map<number, Derived[]>();
  #floor = Infinity;

  /** Every query below this height is up to date. It stays below what was taken last until the next is taken. */
  get floor(): number {
    return this.#floor;
  }

  add(node: Derived): void {
    const level = this.#levels.get(node.height);
    if (level) level.push(node);
    else this.#levels.set(node.height, [node]);
    this.#floor = Math.min(this.#floor, node.height);
  }

  /** Takes out one of the lowest. */
  next(): Derived | undefined {
    while (this.#levels.size > 0) {
      const node = this.#levels.get(this.#floor)?.pop();
      if (!node) this.#rise();
      else if (node.height <= this.#floor) return node;
      // It came to read higher ones while it waited.
      else this.add(node);
    }
    return undefined;
  }

  #rise(): void {
    this.#levels.delete(this.#floor);
    this.#floor = Math.min(...this.#levels.keys());
  }
}
