/** Exponential backoff with full jitter: each wait is drawn between half of its step and the step. */
export interface BackoffOptions {
  /** First step, in milliseconds. */
  readonly initialMs: number;
  /** Largest step, in milliseconds. */
  readonly maxMs: number;
  /** Growth from one step to the next; 2 unless told. */
  readonly factor?: number;
  /** Source of randomness in [0, 1); tests pass their own. */
  readonly random?: () => number;
}

/** Counts failures and says how long to wait before the next attempt. */
export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Milliseconds to wait now; each call counts one more failure. */
  next(): number {
    const { initialMs, maxMs, factor = 2, random = Math.random } = this.#options;
    const step = Math.min(maxMs, initialMs * factor ** this.#failures);
    this.#failures += 1;
    return step * (0.5 + random() / 2);
  }

  /** Failures since the last success. */
  get failures(): number {
    return this.#failures;
  }

  /** An attempt succeeded: the next wait is short again. */
  reset(): void {
    this.#failures = 0;
  }
}
