import type { ListenOptions, Server } from "node:net";
import { WeftError } from "#base/errors.ts";
import { isLoopback } from "#base/loopback.ts";
import { listenOnSocket } from "#base/unix-socket.ts";

/**
 * Where to listen, over TLS or in plain text. Port 0 takes a free one. A port that is shared may be listened on by other processes of the same
 * user that share it: the system gives each connection to one of those that live.
 */
export type ListenAddress = { readonly tls?: boolean; readonly shared?: boolean } & (
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number }
);

/** Connections that may wait to be accepted: all proxies come back at once when a server starts. */
const backlog = 4096;

function bind(server: Server, options: ListenOptions, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new WeftError("Unavailable", `cannot listen on ${what}`, error)));
    server.listen({ ...options, backlog }, resolve);
  });
}

/**
 * Opens one listening address; a Unix socket for its owner alone.
 * @returns the address with the port that was taken.
 * @throws WeftError `InvalidArgument` for an address beyond this machine, `AlreadyExists` or `Unavailable` when taken.
 */
export async function listenOn(server: Server, address: ListenAddress): Promise<ListenAddress> {
  if ("socketPath" in address) {
    await listenOnSocket(server, address.socketPath, backlog);
    return address;
  }
  if (address.tls !== true && !isLoopback(address.host)) {
    throw new WeftError("InvalidArgument", `plain text is served on loopback only, not on ${address.host}`);
  }
  const { host, port, shared: reusePort = false } = address;
  await bind(server, { host, port, reusePort }, `${address.host}:${address.port}`);
  const bound = server.address();
  return { ...address, port: bound && typeof bound === "object" ? bound.port : address.port };
}
