/**
 * Makes sockets inside the network namespace that this process was started in and hands them to the parent, which cannot enter
 * namespaces itself. Runs as the parent's child under `nsenter --net`, with an IPC channel, and ends by itself.
 */
import { createSocket } from "node:dgram";
import type { Socket as UdpSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import type { SocketReply, SocketRequest } from "./namespace-socket.ts";

type Handle = Server | Socket | UdpSocket;

function become(uid: number | undefined): void {
  if (uid === undefined || process.getuid?.() === uid) return;
  // The kernel remembers who made a socket; capture rules go by that.
  process.setgroups?.([]);
  process.setgid?.(uid);
  process.setuid?.(uid);
}

function make({ kind, host, port }: SocketRequest): Promise<Handle> {
  const { promise, resolve, reject } = Promise.withResolvers<Handle>();
  if (kind === "listen") {
    const server = createServer({ pauseOnConnect: true });
    server.once("error", reject).listen({ host, port }, () => resolve(server));
  } else if (kind === "connect") {
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.once("error", reject).once("connect", () => resolve(socket));
  } else {
    const socket = createSocket("udp4");
    socket.once("error", reject).bind({ address: host, port, exclusive: true }, () => resolve(socket));
  }
  return promise;
}

function reply(message: SocketReply, handle?: Handle): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, handle, {}, () => resolve());
  });
}

async function serve(requests: readonly SocketRequest[]): Promise<void> {
  for (const request of requests) {
    try {
      become(request.uid);
      await reply({ ok: true }, await make(request));
    } catch (error) {
      const { code = "", message } = error as NodeJS.ErrnoException;
      await reply({ ok: false, code, message });
      break;
    }
  }
  // A socket that stayed open here as well would take connections that nobody serves.
  process.exit();
}

process.once("message", (requests: readonly SocketRequest[]) => void serve(requests));
