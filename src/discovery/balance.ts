import type { Clock } from "#base/clock.ts";

/** Milliseconds between moves, at first and at most: who is not taken by others is not asked to go over and over. */
const firstPauseMs = 5_000;
const longestPauseMs = 600_000;
/** Moves one after the other that may help nobody, since who connects anew chooses by chance, before the next has to wait for longer. */
const inVain = 8;

/** What share of its proxies a replica may have more than the mean, and at least how many. */
const tolerance = 0.1;
const least = 1;
/** What share of its proxies is moved at a time. */
const atOnce = 0.05;

/** Evens out proxies over replicas: the one that has too many lets some go, a few at a time, while that helps. */
export class Balance {
  readonly #clock: Clock;
  /** When it was first seen that there are too many; undefined while there are not. */
  #over: boolean = false;
  #pauseMs = firstPauseMs;
  #vain = 0;
  #nextAt = 0;
  /** What there were when some were last let go. */
  #before = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * How many proxies a replica is to let go now.
   * @param own proxies that it has.
   * @param others proxies that each other living replica has.
   */
  excess(own: number, others: readonly number[]): number {
    const mean = [own, ...others].reduce((sum, each) => sum + each, 0) / (others.length + 1);
    const over = Math.floor(own - mean);
    const wasOver = this.#over;
    this.#over = over >= Math.max(least, mean * tolerance);
    if (!this.#over) {
      this.#pauseMs = firstPauseMs;
      this.#vain = 0;
      this.#before = Infinity;
      return 0;
    }
    // Others' counts are some seconds old: one look may be the moment after many came.
    if (!wasOver || this.#clock.monotonic() < this.#nextAt) return 0;
    this.#vain = own < this.#before ? 0 : this.#vain + 1;
    this.#pauseMs = this.#vain < inVain ? firstPauseMs : Math.min(2 * this.#pauseMs, longestPauseMs);
    this.#before = own;
    this.#nextAt = this.#clock.monotonic() + this.#pauseMs;
    return Math.min(over, Math.max(1, Math.ceil(own * atOnce)));
  }
}
