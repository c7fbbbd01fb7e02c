import type { Agent, IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/**
 * Milliseconds for which a connection is used again where its server does not say how long it keeps one: less than servers
 * and what stands before them commonly do (60 seconds and more).
 */
export const longestReuseMs = 15_000;

/** The part of the announced time that is used: the rest is for slow machines and networks. */
const usedPart = 0.5;

/** Milliseconds for which a connection may be used again, by the `Keep-Alive: timeout=SECONDS` of an answer on it. */
function reuseMs({ headers }: IncomingMessage): number {
  const hint = /(?:^|[,;\s])timeout\s*=\s*"?(\d+)/i.exec(String(headers["keep-alive"] ?? ""))?.[1];
  return hint === undefined ? longestReuseMs : Math.min(longestReuseMs, Number(hint) * 1000 * usedPart);
}

/**
 * Until when the connections of a pool may be used again. A server closes what is idle, and what is sent at that moment is lost:
 * the client cannot know whether it was carried out. So a client must never be the later of the two.
 *
 * Time counts from the beginning of a connection's last request, since the server's begins no earlier, however late the client
 * reads the answer. It is looked at before a connection is used, since timers are late in a busy process.
 */
export class IdleSockets {
  readonly #until = new WeakMap<Socket, number>();

  /** Takes note of an answer. @param sentAt when its request began, on a clock that never runs backwards. */
  answered(response: IncomingMessage, sentAt: number): void {
    this.#until.set(response.socket, sentAt + reuseMs(response));
  }

  /** Closes those connections of a pool whose time is over. The pool must use the oldest first: of those it skips closed ones. */
  closeOver(pool: Agent, now: number): void {
    close(pool, (socket) => now >= (this.#until.get(socket) ?? 0));
  }
}

/** Closes connections that are not in use: what ended one of them, such as a restart of the server, mostly ended all. */
export function closeIdle(pool: Agent): void {
  close(pool, () => true);
}

function close({ freeSockets }: Agent, which: (socket: Socket) => boolean): void {
  for (const socket of Object.values(freeSockets).flatMap((sockets) => sockets ?? [])) {
    if (which(socket)) socket.destroy();
  }
}
