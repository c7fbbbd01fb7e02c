import { chmodSync, rmSync, statSync } from "node:fs";
import { createConnection, isIP } from "node:net";
import { ServerCredentials, type Server } from "@grpc/grpc-js";
import { WeftError } from "#base/errors.ts";

/** Where to listen. Port 0 takes a free one. */
export type ListenAddress =
  | { readonly socketPath: string; readonly mode?: number }
  | { readonly host: string; readonly port: number };

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

/** The address as gRPC writes it. */
export function targetOf(address: ListenAddress): string {
  if ("socketPath" in address) return `unix:${address.socketPath}`;
  return `${isIP(address.host) === 6 ? `[${address.host}]` : address.host}:${address.port}`;
}

function bind(server: Server, target: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(target, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(new WeftError("Unavailable", `cannot listen on ${target}`, error));
      else resolve(port);
    });
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
    await bind(server, targetOf(address));
    chmodSync(address.socketPath, address.mode ?? 0o600);
    return address;
  }
  if (!isLoopback(address.host)) {
    throw new WeftError("InvalidArgument", `xDS in plain text is served on loopback only, not on ${address.host}`);
  }
  return { host: address.host, port: await bind(server, targetOf(address)) };
}
