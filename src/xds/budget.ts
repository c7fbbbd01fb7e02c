import type { Clock } from "#base/clock.ts";
import type { XdsLimits } from "./limits.ts";

/** Who wants to send. */
export interface Sender {
  /** May send now; calls `taken` when the peer has taken it all, or is gone. Must not throw. */
  granted(taken: () => void): void;
  /** The peer took nothing for too long. */
  timedOut(): void;
}

interface Grant {
  readonly sender: Sender;
  readonly bytes: number;
  readonly since: number;
  stalled: boolean;
}

/** As many times the limit may wait with stalled peers before the longest stalled are cut off. */
const stalledShare = 4;

/**
 * Bounds the bytes that wait for peers to take them. gRPC copies each message for each stream, so without a bound a
 * thousand first syncs would stand in memory at once. A peer that stalls stops counting, so it delays nobody.
 */
export class SendBudget implements Disposable {
  readonly #limits: XdsLimits;
  readonly #clock: Clock;
  readonly #grants = new Set<Grant>();
  /** In the order in which they asked. */
  readonly #waiting = new Set<{ readonly bytes: number; readonly sender: Sender }>();
  #unsent = 0;
  #stalled = 0;
  #serving = false;
  #sweep: Disposable | undefined;

  constructor(limits: XdsLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Bytes granted that peers have not taken. */
  get unsent(): number {
    return this.#unsent + this.#stalled;
  }

  /** Asks to send; the sender is called back now or when there is room, in turn. */
  ask(bytes: number, sender: Sender): void {
    this.#waiting.add({ bytes, sender });
    this.#serve();
  }

  [Symbol.dispose](): void {
    this.#sweep?.[Symbol.dispose]();
    this.#waiting.clear();
    this.#grants.clear();
  }

  /** One message always may go, however large. */
  #hasRoom(bytes: number): boolean {
    return this.#unsent === 0 || this.#unsent + bytes <= this.#limits.unsentBytes;
  }

  #grant(bytes: number, sender: Sender): void {
    const grant: Grant = { sender, bytes, since: this.#clock.monotonic(), stalled: false };
    this.#grants.add(grant);
    this.#unsent += bytes;
    this.#sweep ??= this.#clock.every(this.#limits.stalledMs / 2, () => this.#age());
    sender.granted(() => {
      if (!this.#grants.has(grant)) return;
      this.#forget(grant);
      this.#serve();
    });
  }

  #forget(grant: Grant): void {
    this.#grants.delete(grant);
    if (grant.stalled) this.#stalled -= grant.bytes;
    else this.#unsent -= grant.bytes;
  }

  /** Whoever takes at once, or has left, makes room for the next in the same loop and not in a deeper one. */
  #serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    for (const next of this.#waiting) {
      if (!this.#hasRoom(next.bytes)) break;
      this.#waiting.delete(next);
      this.#grant(next.bytes, next.sender);
    }
    this.#serving = false;
  }

  /** The grants stand in the order of their age. */
  #age(): void {
    const now = this.#clock.monotonic();
    for (const grant of this.#grants) {
      if (now - grant.since < this.#limits.stalledMs) break;
      if (grant.stalled) continue;
      grant.stalled = true;
      this.#unsent -= grant.bytes;
      this.#stalled += grant.bytes;
    }
    for (const grant of this.#grants) {
      const tooMuch = this.#stalled > stalledShare * this.#limits.unsentBytes;
      if (now - grant.since < this.#limits.takeTimeoutMs && !tooMuch) break;
      this.#forget(grant);
      grant.sender.timedOut();
    }
    this.#serve();
    if (this.#grants.size > 0) return;
    this.#sweep?.[Symbol.dispose]();
    this.#sweep = undefined;
  }
}
