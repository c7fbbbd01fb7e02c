import type { Socket } from "node:net";
import { Allowance } from "./allowance.ts";
import type { Clock } from "./clock.ts";

/** How many connections may begin TLS. */
export interface HandshakeLimits {
  /** A second: each costs about a millisecond of the thread that also sends configuration. */
  readonly perSecond: number;
  /** At once, after a while without any. */
  readonly burst: number;
  /** That wait for their turn; more are closed. */
  readonly waiting: number;
}

const defaultLimits: HandshakeLimits = { perSecond: 200, burst: 50, waiting: 10_000 };

/** Milliseconds between looks at those who wait. */
const turnMs = 10;

/** Lets connections begin TLS one after the other, so that many that come at once hold up nothing else. */
export class Handshakes implements Disposable {
  readonly #limits: HandshakeLimits;
  readonly #allowance: Allowance;
  readonly #clock: Clock;
  readonly #begin: (socket: Socket) => void;
  readonly #waiting = new Set<Socket>();
  #turn: Disposable | undefined;

  /** @param begin begins TLS on a connection. */
  constructor(clock: Clock, begin: (socket: Socket) => void, limits: Partial<HandshakeLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
    const { perSecond, burst } = this.#limits;
    this.#allowance = new Allowance(perSecond, burst, 1000, () => clock.monotonic());
    this.#clock = clock;
    this.#begin = begin;
  }

  /** Takes in a connection of which nothing has been read. */
  add(socket: Socket): void {
    if (this.#waiting.size >= this.#limits.waiting) {
      socket.destroy();
      return;
    }
    socket.on("error", () => undefined);
    socket.once("close", () => this.#waiting.delete(socket));
    this.#waiting.add(socket);
    this.#look();
  }

  /** Closes those who wait. */
  [Symbol.dispose](): void {
    this.#turn?.[Symbol.dispose]();
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting.clear();
  }

  #look(): void {
    this.#turn?.[Symbol.dispose]();
    this.#turn = undefined;
    for (const socket of this.#waiting) {
      if (this.#allowance.waitMs > 0) break;
      this.#allowance.spend(1);
      this.#waiting.delete(socket);
      this.#begin(socket);
    }
    if (this.#waiting.size > 0) this.#turn = this.#clock.after(turnMs, () => this.#look());
  }
}
