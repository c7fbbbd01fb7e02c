import { spawn } from "node:child_process";
import type { ChildProcess, SendHandle } from "node:child_process";
import { Socket as UdpSocket } from "node:dgram";
import { Server, Socket } from "node:net";
import { join } from "node:path";
import { WeftError } from "#base/errors.ts";
import { inside } from "./namespace.ts";

/** The socket that is wanted: a TCP listener, a UDP socket, or a TCP connection. */
export interface SocketRequest {
  readonly kind: "listen" | "udp" | "connect";
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** User and group that the socket is to belong to; root unless told. */
  readonly uid?: number;
}

/** What the child answers. */
export type SocketReply =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: string; readonly message: string };

const child = join(import.meta.dirname, "socket-child.ts");

/** Starts a program of this room as a child inside a network namespace, with an IPC channel. */
export function spawnInside(
  network: string,
  script: string,
  args: readonly string[],
  options: { readonly detached: boolean; readonly output: number | "ignore" | "inherit" },
): ChildProcess {
  const [program, ...rest] = inside(network, [
    process.execPath,
    "--disable-warning=ExperimentalWarning",
    script,
    ...args,
  ]);
  const { detached, output } = options;
  return spawn(program, rest, { stdio: ["ignore", output, output, "ipc"], detached, cwd: "/", env: {} });
}

function problem(request: SocketRequest, reply: SocketReply & { readonly ok: false }): WeftError {
  const at = `${request.host}:${request.port}`;
  if (reply.code === "EADDRINUSE") return new WeftError("AlreadyExists", `${at} is taken by another program`);
  if (reply.code === "ECONNREFUSED") return new WeftError("Unavailable", `nothing listens on ${at}`);
  return new WeftError("Unavailable", `${at}: ${reply.message}`);
}

/** Gets one socket made inside a network namespace; the child that makes it has ended when this resolves. */
function socketInside(network: string, request: SocketRequest, signal?: AbortSignal): Promise<SendHandle> {
  const maker = spawnInside(network, child, [], { detached: false, output: "ignore" });
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      maker.kill("SIGKILL");
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", stop, { once: true });
    maker.once("message", (reply: SocketReply, handle) => {
      if (reply.ok && handle !== undefined) resolve(handle);
      else reject(reply.ok ? new WeftError("Internal", "the socket was lost on its way") : problem(request, reply));
    });
    maker.once("error", (error) => reject(new WeftError("FailedPrecondition", "nsenter could not be run", error)));
    maker.once("close", (code) => {
      signal?.removeEventListener("abort", stop);
      // Comes after any message; settles only what has not been.
      reject(new WeftError("Unavailable", `no socket in ${network}: the helper ended with code ${code}`));
    });
    maker.send(request);
  });
}

/**
 * A TCP server that listens inside a network namespace and is served by this process.
 * @throws WeftError `AlreadyExists` when the address is taken, `Unavailable` otherwise.
 */
export async function listenInside(
  network: string,
  at: Omit<SocketRequest, "kind">,
  signal?: AbortSignal,
): Promise<Server> {
  const handle = await socketInside(network, { ...at, kind: "listen" }, signal);
  if (handle instanceof Server) return handle;
  throw new WeftError("Internal", "the helper sent something else than a server");
}

/** A UDP socket that is bound inside a network namespace. Fails as `listenInside` does. */
export async function bindInside(
  network: string,
  at: Omit<SocketRequest, "kind">,
  signal?: AbortSignal,
): Promise<UdpSocket> {
  const handle = await socketInside(network, { ...at, kind: "udp" }, signal);
  if (handle instanceof UdpSocket) return handle;
  throw new WeftError("Internal", "the helper sent something else than a UDP socket");
}

/**
 * A TCP connection that is opened inside a network namespace.
 * @throws WeftError `Unavailable` when nothing listens there.
 */
export async function connectInside(
  network: string,
  at: Omit<SocketRequest, "kind">,
  signal?: AbortSignal,
): Promise<Socket> {
  const handle = await socketInside(network, { ...at, kind: "connect" }, signal);
  if (handle instanceof Socket) return handle;
  throw new WeftError("Internal", "the helper sent something else than a connection");
}
