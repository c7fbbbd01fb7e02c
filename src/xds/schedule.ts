import type { Clock } from "#base/clock.ts";

/** When changes go out. */
export interface BatchOptions {
  /** Milliseconds without a change after which a batch goes out. */
  readonly quietMs: number;
  /** Milliseconds that the first change of a batch waits at most. */
  readonly longestMs: number;
}

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
    if (now - this.#lastFlush >= this.#options.quietMs) this.#run(now);
    else this.#wait(now);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #wait(now: number): void {
    const due = Math.min(this.#last + this.#options.quietMs, (this.#first ?? now) + this.#options.longestMs);
    this.#timer = this.#clock.after(Math.max(0, due - now), () => this.#elapsed());
  }

  #elapsed(): void {
    const now = this.#clock.monotonic();
    const quiet = now - this.#last >= this.#options.quietMs;
    const long = now - (this.#first ?? now) >= this.#options.longestMs;
    if (quiet || long) this.#run(now);
    else this.#wait(now);
  }

  #run(now: number): void {
    this.#first = undefined;
    this.#lastFlush = now;
    this.#flush();
  }
}

/** Calls many members in turn without holding up everything else. */
export class TurnQueue<M> {
  readonly #turn: (member: M) => void;
  readonly #monotonic: () => number;
  readonly #members = new Set<M>();
  #scheduled = false;

  /** @param monotonic milliseconds that never run backwards. */
  constructor(turn: (member: M) => void, monotonic: () => number) {
    this.#turn = turn;
    this.#monotonic = monotonic;
  }

  add(member: M): void {
    this.#members.add(member);
    this.#schedule();
  }

  remove(member: M): void {
    this.#members.delete(member);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    const until = this.#monotonic() + longestTurnMs;
    for (const member of this.#members) {
      this.#members.delete(member);
      this.#turn(member);
      if (this.#monotonic() > until) break;
    }
    if (this.#members.size > 0) this.#schedule();
  }
}

/** Milliseconds after which other work gets its turn. */
const longestTurnMs = 8;
