import { chmodSync, rmSync, statSync } from "node:fs";
import { createConnection, isIP, type ListenOptions, type Server } from "node:net";
import { WeftError } from "#base/errors.ts";

/** Where to listen, over TLS or in plain text. Port 0 takes a free one. */
export type ListenAddress = { readonly tls?: boolean } & (
  | { readonly socketPath: string; readonly mode?: number }
  | { readonly host: string; readonly port: number }
);

/** Plain text is for this machine only. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** Whether a process accepts connections on a Unix socket. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Removes the socket that a killed process left behind. */
async function clearStale(socketPath: string): Promise<void> {
  if (!statSync(socketPath, { throwIfNoEntry: false })?.isSocket()) return;
  if (await answers(socketPath)) {
    throw new WeftError("AlreadyExists", `another process listens on ${socketPath}`);
  }
  rmSync(socketPath, { force: true });
}

/** Connections that may wait to be accepted: all proxies come back at once when a server starts. */
const backlog = 4096;

function bind(server: Server, options: ListenOptions, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new WeftError("Unavailable", `cannot listen on ${what}`, error)));
    server.listen({ ...options, backlog }, resolve);
  });
}

/**
 * Opens one listening address.
 * @returns the address with the port that was taken.
 * @throws WeftError `InvalidArgument` for an address beyond this machine, `AlreadyExists` or `Unavailable` when taken.
 */
export async function listenOn(server: Server, address: ListenAddress): Promise<ListenAddress> {
  if ("socketPath" in address) {
    await clearStale(address.socketPath);
    await bind(server, { path: address.socketPath }, address.socketPath);
    chmodSync(address.socketPath, address.mode ?? 0o600);
    return address;
  }
  if (address.tls !== true && !isLoopback(address.host)) {
    throw new WeftError("InvalidArgument", `plain text is served on loopback only, not on ${address.host}`);
  }
  await bind(server, address, `${address.host}:${address.port}`);
  const bound = server.address();
  return { ...address, port: bound && typeof bound === "object" ? bound.port : address.port };
}
