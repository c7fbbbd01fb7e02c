import type { Clock } from "#base/clock.ts";
import type { XdsLimits } from "./limits.ts";

/**
 * What is sent: changes for those who hold what was before, or first responses. Each has room of its own, so that a
 * change does not wait behind the megabytes of those who just connected, nor these behind a storm of changes.
 */
export type Lane = "change" | "sync";

/** Who wants to send. */
export interface Sender {
  /** May send now; gives the grant back when the peer has taken it all, or is gone. Must not throw. */
  granted(grant: Grant): void;
  /** The peer took nothing for too long. */
  timedOut(): void;
}

/** Room that a sender was given. */
export interface Grant {
  readonly sender: Sender;
  readonly bytes: number;
  readonly lane: Lane;
  /** Milliseconds of the monotonic clock. */
  readonly since: number;
  /** It does not count any more against the room of its lane. */
  stalled: boolean;
}

interface Ask {
  readonly bytes: number;
  readonly sender: Sender;
}

class Room {
  readonly bytes: number;
  /** In the order in which they asked. */
  readonly waiting = new Set<Ask>();
  unsent = 0;
  serving = false;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  /** One message always may go, however large. */
  fits(bytes: number): boolean {
    return this.unsent === 0 || this.unsent + bytes <= this.bytes;
  }
}

/** The part of the room that changes have for themselves. */
const shareOfChanges = 1 / 4;
/** As many times the limit may wait with stalled peers before the longest stalled are cut off. */
const stalledShare = 4;

/**
 * Bounds the bytes that wait for peers to take them: what is kept for a peer cannot be let go, and without a bound a
 * thousand first syncs would stand in memory at once. A peer that stalls stops counting, so it delays nobody.
 */
export class SendBudget implements Disposable {
  readonly #limits: XdsLimits;
  readonly #clock: Clock;
  readonly #rooms: Readonly<Record<Lane, Room>>;
  readonly #grants = new Set<Grant>();
  #stalled = 0;
  #sweep: Disposable | undefined;

  constructor(limits: XdsLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    const change = limits.unsentBytes * shareOfChanges;
    this.#rooms = { change: new Room(change), sync: new Room(limits.unsentBytes - change) };
  }

  /** Bytes granted that peers have not taken. */
  get unsent(): number {
    return this.#rooms.change.unsent + this.#rooms.sync.unsent + this.#stalled;
  }

  /** Asks to send; the sender is called back now or when there is room, in turn. */
  ask(bytes: number, lane: Lane, sender: Sender): void {
    const room = this.#rooms[lane];
    if (room.waiting.size === 0 && room.fits(bytes)) {
      this.#grant(bytes, lane, sender);
      return;
    }
    room.waiting.add({ bytes, sender });
    this.#serve(lane);
  }

  /** The peer has taken what was granted, or is gone. */
  taken(grant: Grant): void {
    if (!this.#grants.has(grant)) return;
    this.#forget(grant);
    if (this.#rooms[grant.lane].waiting.size > 0) this.#serve(grant.lane);
  }

  [Symbol.dispose](): void {
    this.#sweep?.[Symbol.dispose]();
    for (const room of Object.values(this.#rooms)) room.waiting.clear();
    this.#grants.clear();
  }

  #grant(bytes: number, lane: Lane, sender: Sender): void {
    const grant: Grant = { sender, bytes, lane, since: this.#clock.monotonic(), stalled: false };
    this.#grants.add(grant);
    this.#rooms[lane].unsent += bytes;
    this.#sweep ??= this.#clock.every(this.#limits.stalledMs / 2, () => this.#age());
    sender.granted(grant);
  }

  #forget(grant: Grant): void {
    this.#grants.delete(grant);
    if (grant.stalled) this.#stalled -= grant.bytes;
    else this.#rooms[grant.lane].unsent -= grant.bytes;
  }

  /** Whoever takes at once, or has left, makes room for the next in the same loop and not in a deeper one. */
  #serve(lane: Lane): void {
    const room = this.#rooms[lane];
    if (room.serving) return;
    room.serving = true;
    for (const next of room.waiting) {
      if (!room.fits(next.bytes)) break;
      room.waiting.delete(next);
      this.#grant(next.bytes, lane, next.sender);
    }
    room.serving = false;
  }

  /** The grants stand in the order of their age. */
  #age(): void {
    const now = this.#clock.monotonic();
    for (const grant of this.#grants) {
      if (now - grant.since < this.#limits.stalledMs) break;
      if (grant.stalled) continue;
      grant.stalled = true;
      this.#rooms[grant.lane].unsent -= grant.bytes;
      this.#stalled += grant.bytes;
    }
    for (const grant of this.#grants) {
      const tooMuch = this.#stalled > stalledShare * this.#limits.unsentBytes;
      if (now - grant.since < this.#limits.takeTimeoutMs && !tooMuch) break;
      this.#forget(grant);
      grant.sender.timedOut();
    }
    this.#serve("change");
    this.#serve("sync");
    if (this.#grants.size > 0) return;
    this.#sweep?.[Symbol.dispose]();
    this.#sweep = undefined;
  }
}
