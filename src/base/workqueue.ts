import { aborted } from "./aborted.ts";
import { Backoff } from "./backoff.ts";
import type { BackoffOptions } from "./backoff.ts";
import type { Clock } from "./clock.ts";

/** How a queue works. */
export interface WorkQueueOptions {
  readonly clock: Clock;
  /** Brings the world of one key in order. A number returned asks to look again after so many milliseconds. */
  readonly work: (key: string, signal: AbortSignal) => Promise<number | void>;
  /** Told of each failure; the key is tried again with growing waits. */
  readonly failed: (key: string, error: unknown) => void;
  /** Keys worked on at once; 4 unless told. One key is never worked on twice at once. */
  readonly concurrency?: number;
  /** Waits after failures of a key; 20 ms to 10 s unless told. */
  readonly backoff?: BackoffOptions;
}

/**
 * A queue of keys for a controller. A key added many times before its turn is worked on once; a key added while it is
 * worked on has another turn afterwards.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  /** In order of turns; a key stands in it once. */
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { readonly at: number; readonly timer: Disposable }>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #idle = new Set<() => void>();
  #signal: AbortSignal | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** How many keys wait for a turn, now or later. */
  get size(): number {
    return this.#waiting.size + this.#timers.size;
  }

  /** Gives a key a turn as soon as possible. */
  add(key: string): void {
    this.#cancel(key);
    if (this.#working.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#next();
  }

  /** Gives a key a turn after some milliseconds, or earlier where that was asked before. */
  addAfter(key: string, ms: number): void {
    const at = this.#options.clock.monotonic() + ms;
    const known = this.#timers.get(key);
    if (known !== undefined && known.at <= at) return;
    this.#cancel(key);
    this.#timers.set(key, { at, timer: this.#options.clock.after(ms, () => this.add(key)) });
  }

  /** Works until the signal aborts, then waits for what is being worked on. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#next();
    await aborted(signal);
    // What would have had a turn later has one when it runs again.
    for (const key of this.#timers.keys()) {
      this.#cancel(key);
      this.#waiting.add(key);
    }
    if (this.#working.size > 0) await new Promise<void>((resolve) => this.#idle.add(resolve));
  }

  #cancel(key: string): void {
    this.#timers.get(key)?.timer[Symbol.dispose]();
    this.#timers.delete(key);
  }

  #next(): void {
    const signal = this.#signal;
    if (signal === undefined || signal.aborted) return;
    for (const key of this.#waiting) {
      if (this.#working.size >= (this.#options.concurrency ?? 4)) return;
      this.#waiting.delete(key);
      this.#working.add(key);
      void this.#turn(key, signal);
    }
  }

  async #turn(key: string, signal: AbortSignal): Promise<void> {
    try {
      const again = await this.#options.work(key, signal);
      this.#backoffs.delete(key);
      if (again !== undefined && !signal.aborted) this.addAfter(key, again);
    } catch (error) {
      if (!signal.aborted) this.#retry(key, error);
    }
    this.#working.delete(key);
    if (this.#again.delete(key)) this.#waiting.add(key);
    this.#next();
    if (this.#working.size === 0) for (const resolve of this.#idle) resolve();
  }

  #retry(key: string, error: unknown): void {
    this.#options.failed(key, error);
    const backoff = this.#backoffs.get(key) ?? new Backoff(this.#options.backoff ?? { initialMs: 20, maxMs: 10_000 });
    this.#backoffs.set(key, backoff);
    this.addAfter(key, backoff.next());
  }
}
