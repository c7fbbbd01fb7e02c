import type { ServerHttp2Session } from "node:http2";
import type { Clock } from "#base/clock.ts";

/** Looks at connections in each period: so many are pinged together at most. */
const looks = 16;

interface Pinged {
  /** When it was pinged, or accepted. */
  at: number;
  answered: boolean;
}

/**
 * Pings connections, and cuts those that do not answer before their next ping is due: of a peer that is frozen, or
 * away, a connection says nothing by itself.
 */
export class Keepalive implements Disposable {
  readonly #periodMs: number;
  readonly #clock: Clock;
  readonly #timer: Disposable;
  /** In the order in which they were pinged. */
  readonly #sessions = new Map<ServerHttp2Session, Pinged>();

  /** @param periodMs between two pings of a connection. */
  constructor(periodMs: number, clock: Clock) {
    this.#periodMs = periodMs;
    this.#clock = clock;
    this.#timer = clock.every(periodMs / looks, () => this.#look());
  }

  /** Watches a connection until it ends. */
  watch(session: ServerHttp2Session): void {
    this.#sessions.set(session, { at: this.#clock.monotonic(), answered: true });
    session.once("close", () => this.#sessions.delete(session));
  }

  /** Ends the watch, and all connections at once. */
  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    for (const session of this.#sessions.keys()) session.destroy();
    this.#sessions.clear();
  }

  #look(): void {
    const now = this.#clock.monotonic();
    for (const [session, pinged] of this.#sessions) {
      if (now - pinged.at < this.#periodMs) break;
      this.#sessions.delete(session);
      if (pinged.answered) this.#ping(session, now);
      else session.destroy();
    }
  }

  #ping(session: ServerHttp2Session, now: number): void {
    const pinged: Pinged = { at: now, answered: false };
    this.#sessions.set(session, pinged);
    const sent = session.ping((error) => {
      pinged.answered = !error;
    });
    // Too many pings wait for an answer already.
    if (!sent) session.destroy();
  }
}
