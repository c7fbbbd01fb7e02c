import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import type { Clock } from "./clock.ts";
import { WeftError } from "./errors.ts";

/** Milliseconds for a connection over TCP to be taken: the kernel asks at once and after one second. */
const takenMs = 2_500;

/** After how long without a word the kernel asks whether the other side is there, how often, and milliseconds between. */
const probes = { enable: true, initialDelay: 5_000, interval: 1_000, count: 3 } as const;

/**
 * Lets connections that this process makes over TCP notice that the other host is gone, of which nothing tells them: those that
 * nobody takes fail, which the kernel would try for two minutes, and those that are idle end within eight seconds, which costs neither
 * side any of its processor time. What was sent and is not confirmed keeps the kernel from asking: protocols' own time limits are for that.
 */
export function noticeGoneHosts(clock: Clock): Disposable {
  const made = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    // Not until names are looked up, which has limits of its own.
    socket.on("connectionAttempt", () => limit(socket, clock));
    socket.setKeepAlive(probes);
  };
  subscribe("net.client.socket", made);
  return { [Symbol.dispose]: () => void unsubscribe("net.client.socket", made) };
}

function limit(socket: Socket, clock: Clock): void {
  const fault = new WeftError("Unavailable", `nobody took the connection in ${takenMs} ms`);
  const timer = clock.after(takenMs, () => socket.connecting && socket.destroy(fault));
  const over = (): void => timer[Symbol.dispose]();
  socket.once("connect", over).once("close", over);
}
