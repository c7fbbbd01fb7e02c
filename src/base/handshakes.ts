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

/** How much of a limit for all one address may have: the rest is for others, while it has that much. */
export function mostOfOne(limit: number): number {
  return Math.ceil(limit * 0.9);
}

/**
 * Lets connections begin TLS one after the other, so that many that come at once hold up nothing else. Addresses take turns:
 * one that sends many waits for its own alone.
 */
export class Handshakes implements Disposable {
  readonly #limits: HandshakeLimits;
  readonly #allowance: Allowance;
  readonly #clock: Clock;
  readonly #begin: (socket: Socket) => unknown;
  /** By address, in the order of their turns. */
  readonly #waiting = new Map<string, Set<Socket>>();
  #count = 0;
  #turn: Disposable | undefined;

  /** @param begin begins TLS on a connection. */
  constructor(clock: Clock, begin: (socket: Socket) => unknown, limits: Partial<HandshakeLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
    const { perSecond, burst } = this.#limits;
    this.#allowance = new Allowance(perSecond, burst, 1000, () => clock.monotonic());
    this.#clock = clock;
    this.#begin = begin;
  }

  /** Takes in a connection of which nothing has been read. */
  add(socket: Socket): void {
    const { remoteAddress: address = "" } = socket;
    const queue = this.#waiting.get(address) ?? new Set();
    const { waiting } = this.#limits;
    if (this.#count >= waiting || queue.size >= mostOfOne(waiting)) {
      socket.destroy();
      return;
    }
    socket.on("error", () => undefined);
    socket.once("close", () => this.#remove(address, socket));
    this.#waiting.set(address, queue.add(socket));
    this.#count += 1;
    this.#look();
  }

  /** Closes those who wait. */
  [Symbol.dispose](): void {
    this.#turn?.[Symbol.dispose]();
    for (const queue of this.#waiting.values()) for (const socket of queue) socket.destroy();
    this.#waiting.clear();
    this.#count = 0;
  }

  #look(): void {
    this.#turn?.[Symbol.dispose]();
    this.#turn = undefined;
    while (this.#count > 0 && this.#allowance.waitMs <= 0) this.#next();
    if (this.#count > 0) this.#turn = this.#clock.after(turnMs, () => this.#look());
  }

  /** The address whose turn it is begins one, and stands behind the others then. */
  #next(): void {
    const [first] = this.#waiting;
    const [socket] = first?.[1] ?? [];
    if (first === undefined || socket === undefined) return;
    const [address, queue] = first;
    this.#allowance.spend(1);
    this.#remove(address, socket);
    if (this.#waiting.delete(address)) this.#waiting.set(address, queue);
    this.#begin(socket);
  }

  #remove(address: string, socket: Socket): void {
    const queue = this.#waiting.get(address);
    if (queue?.delete(socket) !== true) return;
    this.#count -= 1;
    if (queue.size === 0) this.#waiting.delete(address);
  }
}
