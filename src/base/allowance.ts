/**
 * What one may spend: it grows with time, up to a burst. It may be overdrawn, and whoever has done that waits until the
 * debt is paid, so that one large thing is possible and many are not.
 */
export class Allowance {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #longestWaitMs: number;
  readonly #monotonic: () => number;
  #left: number;
  #at: number;

  /**
   * @param perSecond by how much it grows.
   * @param longestWaitMs debts that take longer to pay are forgiven.
   * @param monotonic milliseconds that never run backwards.
   */
  constructor(perSecond: number, burst: number, longestWaitMs: number, monotonic: () => number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#longestWaitMs = longestWaitMs;
    this.#monotonic = monotonic;
    this.#left = burst;
    this.#at = monotonic();
  }

  /** Spends an amount. Returns whether that was within the allowance. */
  spend(amount: number): boolean {
    this.#grow();
    const deepest = -(this.#perSecond * this.#longestWaitMs) / 1000;
    this.#left = Math.max(deepest, this.#left - amount);
    return this.#left >= 0;
  }

  /** Milliseconds until debts are paid. */
  get waitMs(): number {
    this.#grow();
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left * 1000) / this.#perSecond);
  }

  #grow(): void {
    const now = this.#monotonic();
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) * this.#perSecond) / 1000);
    this.#at = now;
  }
}
