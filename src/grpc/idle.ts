import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Clock } from "#base/clock.ts";

/** Closes connections on which no call is open for long: who may not call anything would keep them for nothing. */
export class IdleConnections {
  readonly #clock: Clock;
  readonly #idleMs: number;

  /** @param idleMs that a connection may be without a call. */
  constructor(clock: Clock, idleMs: number) {
    this.#clock = clock;
    this.#idleMs = idleMs;
  }

  /** Watches a connection until it ends. */
  watch(session: ServerHttp2Session): void {
    let open = 0;
    const rest = (): Disposable => this.#clock.after(this.#idleMs, () => session.close());
    let timer = rest();
    session.on("stream", (stream: ServerHttp2Stream) => {
      timer[Symbol.dispose]();
      open += 1;
      stream.once("close", () => {
        open -= 1;
        if (open === 0 && !session.closed) timer = rest();
      });
    });
    session.once("close", () => timer[Symbol.dispose]());
  }
}
