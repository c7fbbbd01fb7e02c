import type { Clock } from "./clock.ts";

/** When changes go out. */
export interface BatchOptions {
  /** Milliseconds without a change after which a batch goes out. */
  readonly quietMs: number;
  /** Milliseconds that the first change of a batch waits at most while changes go on. */
  readonly longestMs: number;
  /** Whether what earlier batches brought is still under way: the next one then waits a while for it. */
  readonly busy?: () => boolean;
  /** Milliseconds that the first change of a batch waits at most for that; `longestMs` unless told. */
  readonly busyMs?: number;
}

/** Milliseconds between looks at whether it is still busy. */
const lookMs = 5;

/**
 * Decides when changes go out: the first after quiet at once, those of a storm in batches.
 */
export class BatchSchedule implements Disposable {
  readonly #options: BatchOptions;
  readonly #clock: Clock;
  readonly #flush: () => void;
  #lastFlush = -Infinity;
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
    if (now - this.#lastFlush >= this.#options.quietMs && !this.#options.busy?.()) this.#run(now);
    else this.#wait(now);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #wait(now: number): void {
    const due = Math.min(this.#last + this.#options.quietMs, (this.#first ?? now) + this.#options.longestMs);
    this.#timer = this.#clock.after(Math.max(due > now ? 0 : lookMs, due - now), () => this.#elapsed());
  }

  #elapsed(): void {
    const now = this.#clock.monotonic();
    const { quietMs, longestMs, busy, busyMs = longestMs } = this.#options;
    const waited = now - (this.#first ?? now);
    const due = now - this.#last >= quietMs || waited >= longestMs;
    if (due && (waited >= busyMs || !busy?.())) this.#run(now);
    else this.#wait(now);
  }

  #run(now: number): void {
    this.#first = undefined;
    this.#lastFlush = now;
    this.#flush();
  }
}
