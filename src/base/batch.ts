import type { Clock } from "./clock.ts";

/** When changes go out. */
export interface BatchOptions {
  /** Milliseconds without a change after which a batch goes out. */
  readonly quietMs: number;
  /** Milliseconds that the first change of a batch waits at most while changes go on. */
  readonly longestMs: number;
  /** The part of the time, from 0 to 1, that batches may take: the next one waits while one that was dear is paid off. */
  readonly share?: number;
}

/**
 * Decides when changes go out: the first after quiet at once, those of a storm in batches.
 */
export class BatchSchedule implements Disposable {
  readonly #options: BatchOptions;
  readonly #clock: Clock;
  readonly #flush: () => void;
  #lastFlush = -Infinity;
  /** Before this no batch goes out. */
  #notBefore = -Infinity;
  #first: number | undefined;
  #last = 0;
  #timer: Disposable | undefined;

  constructor(options: BatchOptions, clock: Clock, flush: () => void) {
    this.#options = options;
    this.#clock = clock;
    this.#flush = flush;
  }

  /** Something changed. */
  changed(): void {
    const now = this.#clock.monotonic();
    this.#last = now;
    if (this.#first !== undefined) return;
    this.#first = now;
    if (now - this.#lastFlush >= this.#options.quietMs && now >= this.#notBefore) this.#run(now);
    else this.#wait(now);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #wait(now: number): void {
    const { quietMs, longestMs } = this.#options;
    const due = Math.max(this.#notBefore, Math.min(this.#last + quietMs, (this.#first ?? now) + longestMs));
    this.#timer = this.#clock.after(Math.max(0, due - now), () => this.#elapsed());
  }

  #elapsed(): void {
    const now = this.#clock.monotonic();
    const { quietMs, longestMs } = this.#options;
    const due = now - this.#last >= quietMs || now - (this.#first ?? now) >= longestMs;
    if (due && now >= this.#notBefore) this.#run(now);
    else this.#wait(now);
  }

  #run(now: number): void {
    const { share = 1 } = this.#options;
    this.#first = undefined;
    this.#lastFlush = now;
    this.#flush();
    const ended = this.#clock.monotonic();
    this.#notBefore = ended + (ended - now) * (1 / share - 1);
  }
}
