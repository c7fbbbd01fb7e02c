import type { Clock } from "#base/clock.ts";

/** Milliseconds after which nobody waits for a proxy that is owed something: it is slow, or stalled. */
const patienceMs = 3000;
/** Who is owed something counts when it is more than one of so many: the slow few hold nobody up. */
const fewOf = 20;

/**
 * Proxies that have not taken all of a change. The next one waits for most of them: proxies that stand at one point share
 * what they are sent, and a server that is behind falls back further with each that stands elsewhere.
 */
export class Backlog<M> {
  readonly #clock: Clock;
  readonly #since = new Map<M, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The member has not taken all of what changed, or has now. */
  owes(member: M, owes: boolean): void {
    if (!owes) this.#since.delete(member);
    else if (!this.#since.has(member)) this.#since.set(member, this.#clock.monotonic());
  }

  /** Whether more than a few of so many wait, and not for long yet. */
  isLong(members: number): boolean {
    if (this.#since.size * fewOf <= members) return false;
    const from = this.#clock.monotonic() - patienceMs;
    let waiting = 0;
    for (const since of this.#since.values()) if (since > from) waiting += 1;
    return waiting * fewOf > members;
  }
}
