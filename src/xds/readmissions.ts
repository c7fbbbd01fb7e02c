import type { Clock } from "#base/clock.ts";

/** A stream that was let in. */
interface Admitted {
  /** Looks again whether it may go on. */
  readmit(): void;
}

/** Parts in which all streams are looked at, so that many hold up nothing else. */
const parts = 20;

/** Has each stream looked at again and again. */
export class Readmissions<S extends Admitted> implements Disposable {
  readonly #streams: Iterable<S>;
  readonly #timer: Disposable;
  #due: S[] = [];
  #perTurn = 0;

  /** @param everyMs milliseconds between two looks at one stream. */
  constructor(streams: Iterable<S>, clock: Clock, everyMs = 10_000) {
    this.#streams = streams;
    this.#timer = clock.every(everyMs / parts, () => this.#turn());
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #turn(): void {
    if (this.#due.length === 0) {
      this.#due = [...this.#streams];
      this.#perTurn = Math.ceil(this.#due.length / parts);
    }
    for (const stream of this.#due.splice(0, this.#perTurn)) stream.readmit();
  }
}
