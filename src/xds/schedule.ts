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

  /** How many wait for their turn. */
  get size(): number {
    return this.#members.size;
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
