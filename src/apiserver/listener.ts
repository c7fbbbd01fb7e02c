import { once } from "node:events";
import { chmodSync, lstatSync, mkdirSync, rmSync } from "node:fs";
import { connect, isIPv4, type AddressInfo, type Server } from "node:net";
import { dirname } from "node:path";
import { WeftError, messageOf } from "#base/errors.ts";

/** Where an endpoint listens. Only loopback addresses, unless requests are authenticated over TLS. */
export type ListenAddress =
  | { readonly host: string; /** 0 takes a free one. */ readonly port: number }
  | { readonly socketPath: string };

/** An address as people and clients write it. @param secure whether it speaks TLS. */
export function addressText(address: ListenAddress, secure: boolean): string {
  if ("socketPath" in address) return `unix://${address.socketPath}`;
  return `${secure ? "https" : "http"}://${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/** Whether only programs of this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/**
 * Makes a server listen.
 * @param secure requests are authenticated, over TLS.
 * @returns the address, with its real port.
 * @throws WeftError `PermissionDenied` for addresses that other machines reach, `Unavailable` when it is taken.
 */
export async function listen(server: Server, address: ListenAddress, secure: boolean): Promise<ListenAddress> {
  try {
    if ("socketPath" in address) return await listenOnSocket(server, address.socketPath);
    if (!secure && !isLoopback(address.host)) {
      throw new WeftError(
        "PermissionDenied",
        `${address.host} is reachable from other machines, and the API does not authenticate: use 127.0.0.1, ::1 or a Unix socket`,
      );
    }
    server.listen({ host: address.host, port: address.port });
    await once(server, "listening");
    return { host: address.host, port: (server.address() as AddressInfo).port };
  } catch (error) {
    if (error instanceof WeftError) throw error;
    const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    const problem = taken ? "it is in use by another program" : messageOf(error);
    throw new WeftError("Unavailable", `cannot listen on ${addressText(address, secure)}: ${problem}`, error);
  }
}

/** Only the owner may connect: a directory of mode 0700 where there is none, and a socket of mode 0600. */
async function listenOnSocket(server: Server, socketPath: string): Promise<ListenAddress> {
  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 });
  await removeStale(socketPath);
  // The socket is made while `listen` runs; a mode set afterwards would leave it open to others for a moment.
  const mask = process.umask(0o177);
  try {
    server.listen({ path: socketPath });
  } finally {
    process.umask(mask);
  }
  await once(server, "listening");
  chmodSync(socketPath, 0o600);
  return { socketPath };
}

/** Removes the socket of a server that was killed; one that still answers is left alone. */
async function removeStale(socketPath: string): Promise<void> {
  const found = lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error("there is a file of that name that is no socket");
  const probe = connect(socketPath);
  const answers = await once(probe, "connect").then(
    () => true,
    () => false,
  );
  probe.destroy();
  if (answers)
    throw new WeftError("Unavailable", `cannot listen on unix://${socketPath}: it is in use by another program`);
  rmSync(socketPath);
}
