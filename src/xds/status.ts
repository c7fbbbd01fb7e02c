import type { Clock } from "#base/clock.ts";

/** Milliseconds within which changes of status are told as one. */
const coalesceMs = 100;

/** Tells listeners that the status of some proxy changed. */
export class StatusFeed implements Disposable {
  readonly #clock: Clock;
  readonly #callbacks = new Set<() => void>();
  #timer: Disposable | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  onChange(callback: () => void): Disposable {
    // A wrapper, so that one function can listen twice.
    const listener = (): void => callback();
    this.#callbacks.add(listener);
    return { [Symbol.dispose]: () => this.#callbacks.delete(listener) };
  }

  /** The status of some proxy changed. */
  changed(): void {
    if (this.#callbacks.size === 0) return;
    this.#timer ??= this.#clock.after(coalesceMs, () => {
      this.#timer = undefined;
      for (const callback of this.#callbacks) callback();
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#callbacks.clear();
  }
}
