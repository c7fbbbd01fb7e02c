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

/** Gets sockets made inside a network namespace, in order; the child that makes them has ended when this resolves. */
function socketsInside(
  network: string,
  requests: readonly SocketRequest[],
  signal?: AbortSignal,
): Promise<readonly SendHandle[]> {
  const maker = spawnInside(network, child, [], { detached: false, output: "ignore" });
  const handles: SendHandle[] = [];
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      for (const handle of handles) discard(handle);
      handles.length = 0;
      reject(error);
    };
    const stop = (): void => {
      maker.kill("SIGKILL");
      fail(signal?.reason as Error);
    };
    signal?.addEventListener("abort", stop, { once: true });
    maker.on("message", (reply: SocketReply, handle) => {
      const request = requests[handles.length];
      if (request === undefined) return;
      if (!reply.ok) fail(problem(request, reply));
      else if (handle === undefined) fail(new WeftError("Internal", "the socket was lost on its way"));
      else handles.push(handle);
      if (handles.length === requests.length) resolve(handles);
    });
    maker.once("error", (error) => fail(new WeftError("FailedPrecondition", "nsenter could not be run", error)));
    maker.once("close", (code) => {
      signal?.removeEventListener("abort", stop);
      // Comes after any message; settles only what has not been.
      if (handles.length < requests.length)
        fail(new WeftError("Unavailable", `no socket in ${network}: the helper ended with code ${code}`));
    });
    maker.send(requests);
  });
}

function discard(handle: SendHandle): void {
  if (handle instanceof Socket) handle.destroy();
  else if (handle instanceof Server || handle instanceof UdpSocket) handle.close();
}

type Place = Omit<SocketRequest, "kind">;

function wrongHandle(): WeftError {
  return new WeftError("Internal", "the helper sent another kind of socket");
}

/**
 * A TCP server that listens inside a network namespace and is served by this process.
 * @throws WeftError `AlreadyExists` when the address is taken, `Unavailable` otherwise.
 */
export async function listenInside(network: string, at: Place, signal?: AbortSignal): Promise<Server> {
  const [handle] = await socketsInside(network, [{ ...at, kind: "listen" }], signal);
  if (handle instanceof Server) return handle;
  throw wrongHandle();
}

/** A UDP socket that is bound inside a network namespace. Fails as `listenInside` does. */
export async function bindInside(network: string, at: Place, signal?: AbortSignal): Promise<UdpSocket> {
  const [handle] = await socketsInside(network, [{ ...at, kind: "udp" }], signal);
  if (handle instanceof UdpSocket) return handle;
  throw wrongHandle();
}

/**
 * A TCP connection that is opened inside a network namespace.
 * @throws WeftError `Unavailable` when nothing listens there.
 */
export async function connectInside(network: string, at: Place, signal?: AbortSignal): Promise<Socket> {
  const [handle] = await socketsInside(network, [{ ...at, kind: "connect" }], signal);
  if (handle instanceof Socket) return handle;
  throw wrongHandle();
}

/** One address of a network namespace over UDP and TCP, such as a name server's. Fails as `listenInside` does. */
export async function serveInside(
  network: string,
  at: Place,
  signal?: AbortSignal,
): Promise<{ readonly udp: UdpSocket; readonly tcp: Server }> {
  const requests = [
    { ...at, kind: "udp" },
    { ...at, kind: "listen" },
  ] as const;
  const [udp, tcp] = await socketsInside(network, requests, signal);
  if (udp instanceof UdpSocket && tcp instanceof Server) return { udp, tcp };
  throw wrongHandle();
}
