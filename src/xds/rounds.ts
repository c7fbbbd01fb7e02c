import type { Clock } from "#base/clock.ts";

/** What rounds need. */
export interface RoundsOptions<M> {
  readonly clock: Clock;
  /** Whether more changes wait to be taken in. */
  readonly pressed: () => boolean;
  /** A member that put something off has its turn. */
  readonly turn: (member: M) => void;
}

/** Milliseconds after which nobody waits for a proxy that is owed something: it is slow, or stalled. */
const patienceMs = 3000;
/** Who is owed something counts when it is more than one of so many: the slow few hold nobody up. */
const fewOf = 20;

/**
 * The rounds in which changes go out while they keep coming. The next ones wait until most proxies have taken those before:
 * proxies that stand at one point share what they are sent, and a server that is behind falls back further with each
 * that stands elsewhere. What follows from a change goes with the next, so that a round costs each proxy one exchange.
 */
export class Rounds<M> {
  readonly #options: RoundsOptions<M>;
  /** Who has not taken all of what changed, and since when, in milliseconds of the monotonic clock. */
  readonly #owed = new Map<M, number>();
  /** Who has something that goes with the next change. */
  readonly #waiting = new Set<M>();

  constructor(options: RoundsOptions<M>) {
    this.#options = options;
  }

  /** Whether more changes wait to be taken in. */
  get pressed(): boolean {
    return this.#options.pressed();
  }

  /** The member has not taken all of what changed, or has now. */
  owes(member: M, owes: boolean): void {
    if (!owes) this.#owed.delete(member);
    else if (!this.#owed.has(member)) this.#owed.set(member, this.#options.clock.monotonic());
  }

  /** The member has something that may wait for the next change, to go out with it. */
  putOff(member: M): void {
    this.#waiting.add(member);
  }

  /** The next change was taken in. */
  begin(): void {
    for (const member of this.#waiting) this.#options.turn(member);
    this.#waiting.clear();
  }

  left(member: M): void {
    this.#owed.delete(member);
    this.#waiting.delete(member);
  }

  /** Whether more than a few of so many wait, and not for long yet. */
  isLong(members: number): boolean {
    if (this.#owed.size * fewOf <= members) return false;
    const from = this.#options.clock.monotonic() - patienceMs;
    let waiting = 0;
    for (const since of this.#owed.values()) if (since > from) waiting += 1;
    return waiting * fewOf > members;
  }
}
