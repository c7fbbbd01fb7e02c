/** What waiting for the next change needs. */
export interface NextChangeOptions<M> {
  /** Whether more changes wait to be taken in. */
  readonly pressed: () => boolean;
  /** Gives a member its turn. */
  readonly turn: (member: M) => void;
}

/**
 * What follows from a change, and may wait for the next one where more are waiting, so that under load all that a proxy
 * is sent for a change is one write.
 */
export class NextChange<M> {
  readonly #options: NextChangeOptions<M>;
  readonly #waiting = new Set<M>();

  constructor(options: NextChangeOptions<M>) {
    this.#options = options;
  }

  /** Whether more changes wait to be taken in. */
  get pressed(): boolean {
    return this.#options.pressed();
  }

  /** The member has something that goes with the next change. */
  awaitedBy(member: M): void {
    this.#waiting.add(member);
  }

  /** It was taken in. */
  came(): void {
    for (const member of this.#waiting) this.#options.turn(member);
    this.#waiting.clear();
  }

  left(member: M): void {
    this.#waiting.delete(member);
  }
}
