import { once } from "node:events";
import { mkdirSync } from "node:fs";
import type { AddressInfo, Server } from "node:net";
import { dirname } from "node:path";
import { WeftError, messageOf } from "#base/errors.ts";
import { isLoopback } from "#base/loopback.ts";
import { listenOnSocket } from "#base/unix-socket.ts";

/** Where an endpoint listens. Only loopback addresses, unless requests are authenticated over TLS. */
export type ListenAddress =
  | { readonly host: string; /** 0 takes a free one. */ readonly port: number }
  | { readonly socketPath: string };

/** An address as people and clients write it. @param secure whether it speaks TLS. */
export function addressText(address: ListenAddress, secure: boolean): string {
  if ("socketPath" in address) return `unix://${address.socketPath}`;
  return `${secure ? "https" : "http"}://${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/**
 * Makes a server listen; on a Unix socket for its owner alone, in a folder of mode 0700 where there is none.
 * @param secure requests are authenticated, over TLS.
 * @returns the address, with its real port.
 * @throws WeftError `PermissionDenied` for addresses that other machines reach, `Unavailable` or, for a Unix socket,
 * `AlreadyExists` when it is taken.
 */
export async function listen(server: Server, address: ListenAddress, secure: boolean): Promise<ListenAddress> {
  try {
    if ("socketPath" in address) {
      mkdirSync(dirname(address.socketPath), { recursive: true, mode: 0o700 });
      await listenOnSocket(server, address.socketPath);
      return address;
    }
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
