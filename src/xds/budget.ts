import type { Clock } from "#base/clock.ts";
import type { XdsLimits } from "./limits.ts";

/** Who wants to send. */
export interface Sender {
  /** May send now; calls `taken` when the peer has taken it all, or is gone. */
  granted(taken: () => void): void;
  /** The peer took nothing for too long. */
  timedOut(): void;
}

interface Grant {
  readonly sender: Sender;
  readonly bytes: number;
  readonly since: number;
  counted: boolean;
}

/**
 * Bounds the bytes that wait for peers to take them. gRPC copies each message for each stream, so without a bound a
 * thousand first syncs would stand in memory at once. A peer that stalls stops counting, so it delays nobody.
 */
export class SendBudget implements Disposable {
  readonly #limits: XdsLimits;
  readonly #clock: Clock;
  readonly #grants = new Set<Grant>();
  #waiting: { readonly bytes: number; readonly sender: Sender }[] = [];
  #unsent = 0;
  #sweep: Disposable | undefined;

  constructor(limits: XdsLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Bytes granted that peers have not taken, without those of stalled peers. */
  get unsent(): number {
    return this.#unsent;
  }

  /** Asks to send; the sender is called back now or when there is room, in turn. */
  ask(bytes: number, sender: Sender): void {
    if (this.#waiting.length === 0 && this.#hasRoom(bytes)) this.#grant(bytes, sender);
    else this.#waiting.push({ bytes, sender });
  }

  [Symbol.dispose](): void {
    this.#sweep?.[Symbol.dispose]();
    this.#waiting = [];
    this.#grants.clear();
  }

  /** One message always may go, however large. */
  #hasRoom(bytes: number): boolean {
    return this.#unsent === 0 || this.#unsent + bytes <= this.#limits.unsentBytes;
  }

  #grant(bytes: number, sender: Sender): void {
    const grant: Grant = { sender, bytes, since: this.#clock.monotonic(), counted: true };
    this.#grants.add(grant);
    this.#unsent += bytes;
    this.#sweep ??= this.#clock.every(this.#limits.stalledMs / 2, () => this.#age());
    sender.granted(() => {
      if (!this.#grants.delete(grant)) return;
      this.#discount(grant);
      this.#serve();
    });
  }

  #discount(grant: Grant): void {
    if (!grant.counted) return;
    grant.counted = false;
    this.#unsent -= grant.bytes;
  }

  #serve(): void {
    let served = 0;
    for (const { bytes, sender } of this.#waiting) {
      if (!this.#hasRoom(bytes)) break;
      served += 1;
      this.#grant(bytes, sender);
    }
    if (served > 0) this.#waiting.splice(0, served);
  }

  #age(): void {
    const now = this.#clock.monotonic();
    for (const grant of this.#grants) {
      const age = now - grant.since;
      if (age >= this.#limits.stalledMs) this.#discount(grant);
      if (age < this.#limits.takeTimeoutMs) continue;
      this.#grants.delete(grant);
      grant.sender.timedOut();
    }
    this.#serve();
    if (this.#grants.size > 0) return;
    this.#sweep?.[Symbol.dispose]();
    this.#sweep = undefined;
  }
}
