/**
 * Makes one socket inside the network namespace that this process was started in and hands it to the parent, which cannot
 * enter namespaces itself. Runs as the parent's child under `nsenter --net`, with an IPC channel, and ends by itself.
 */
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import type { SendHandle } from "node:child_process";
import type { SocketReply, SocketRequest } from "./namespace-socket.ts";

function reply(message: SocketReply, handle?: SendHandle): void {
  // A socket that stayed open here as well would take connections that nobody serves.
  process.send?.(message, handle, {}, () => process.exit());
}

function failed(error: NodeJS.ErrnoException): void {
  reply({ ok: false, code: error.code ?? "", message: error.message });
}

function make(request: SocketRequest): void {
  if (request.uid !== undefined) {
    // The kernel remembers who made a socket; capture rules go by that.
    process.setgroups?.([]);
    process.setgid?.(request.uid);
    process.setuid?.(request.uid);
  }
  if (request.kind === "listen") {
    const server = createServer({ pauseOnConnect: true });
    server.once("error", failed);
    server.listen({ host: request.host, port: request.port }, () => reply({ ok: true }, server));
  } else if (request.kind === "connect") {
    const socket = connect({ host: request.host, port: request.port, allowHalfOpen: true });
    socket.once("error", failed);
    socket.once("connect", () => reply({ ok: true }, socket));
  } else {
    const socket = createSocket("udp4");
    socket.once("error", failed);
    socket.bind({ address: request.host, port: request.port, exclusive: true }, () => reply({ ok: true }, socket));
  }
}

process.once("message", (request: SocketRequest) => make(request));
