/** Growth from one bucket's bound to the next: percentiles are right within 2 percent. */
const growth = 1.02;
/** The smallest latency told apart from zero, in milliseconds. */
const smallest = 0.05;
/** Up to about an hour. */
const buckets = 920;

/** Latencies in milliseconds, kept in a fixed amount of memory. */
export class Latencies {
  readonly #counts = new Uint32Array(buckets);
  #count = 0;
  #max = 0;

  /** How many were added. */
  get count(): number {
    return this.#count;
  }

  /** The largest, exactly. */
  get max(): number {
    return this.#max;
  }

  add(ms: number): void {
    const bucket = ms <= smallest ? 0 : Math.ceil(Math.log(ms / smallest) / Math.log(growth));
    const at = Math.min(buckets - 1, bucket);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#count += 1;
    this.#max = Math.max(this.#max, ms);
  }

  /** The latency that a share (0 to 1) of all does not exceed; 0 when there is none. */
  percentile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= rank) return Math.min(this.#max, smallest * growth ** bucket);
    }
    return 0;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#max = 0;
  }
}
