import type { Clock } from "#base/clock.ts";
import type { NameSet, NameSets } from "./names.ts";

/** What waiting needs. */
export interface PatienceOptions {
  readonly sets: NameSets;
  readonly clock: Clock;
  /** Milliseconds to wait for each name. */
  readonly timeoutMs: number;
  /** Some are not waited for any more. */
  readonly expired: () => void;
}

/** Names that are waited for, each for a while. */
export class Patience implements Disposable {
  readonly #options: PatienceOptions;
  /** Milliseconds of the monotonic clock. */
  readonly #since = new Map<string, number>();
  #names: NameSet;
  #left: NameSet;
  #timer: Disposable | undefined;

  constructor(options: PatienceOptions) {
    this.#options = options;
    this.#names = options.sets.empty;
    this.#left = options.sets.empty;
  }

  /** Those of some names that are still waited for; of names that were told before, since then. */
  left(names: NameSet): NameSet {
    if (names === this.#names) return this.#left;
    this.#names = names;
    const now = this.#options.clock.monotonic();
    for (const name of this.#since.keys()) if (!names.has(name)) this.#since.delete(name);
    for (const name of names) if (!this.#since.has(name)) this.#since.set(name, now);
    this.#look(now);
    return this.#left;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #look(now: number): void {
    const { sets, clock, timeoutMs } = this.#options;
    const from = now - timeoutMs;
    this.#left = sets.filter(this.#names, (name) => (this.#since.get(name) ?? now) > from);
    if (this.#left.size === 0) {
      this[Symbol.dispose]();
      return;
    }
    const oldest = Math.min(...[...this.#left].map((name) => this.#since.get(name) ?? now));
    this.#timer ??= clock.after(oldest - from, () => this.#elapsed());
  }

  #elapsed(): void {
    this.#timer = undefined;
    const before = this.#left;
    this.#look(this.#options.clock.monotonic());
    if (this.#left !== before) this.#options.expired();
  }
}
