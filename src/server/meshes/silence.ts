import type { Clock } from "#base/clock.ts";

/** Which processes run and do not answer, and since when: one that hangs is ended, so that it can be started anew. */
export class Silence {
  readonly #since = new Map<string, number>();
  readonly #limitMs: number;
  readonly #clock: Clock;

  /** @param limitMs milliseconds for which a process may run without an answer. */
  constructor(limitMs: number, clock: Clock) {
    this.#limitMs = limitMs;
    this.#clock = clock;
  }

  /** Notes whether a process answers, by its name; one that does not run is not silent either. */
  note(process: string, isSilent: boolean): void {
    if (!isSilent) this.#since.delete(process);
    else if (!this.#since.has(process)) this.#since.set(process, this.#clock.monotonic());
  }

  /** Whether a process has been silent for too long; it counts from now on again. */
  isOver(process: string): boolean {
    const since = this.#since.get(process);
    if (since === undefined || this.#clock.monotonic() - since < this.#limitMs) return false;
    this.#since.delete(process);
    return true;
  }
}
