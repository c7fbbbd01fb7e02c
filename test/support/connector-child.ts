/** Opens TCP connections inside the network namespace that it was started in and hands them to its parent, until that goes. */
import { connect } from "node:net";
import type { ConnectReply, ConnectRequest } from "./connector.ts";

function reply(message: ConnectReply, socket?: ReturnType<typeof connect>): void {
  process.send?.(message, socket);
}

process.on("message", ({ id, host, port }: ConnectRequest) => {
  const socket = connect({ host, port, allowHalfOpen: true });
  // What a server says first is for the parent to read: bytes that are read here are lost to it.
  socket.pause();
  const failed = (error: Error): void => reply({ id, problem: error.message });
  socket.once("error", failed);
  socket.once("connect", () => {
    socket.off("error", failed);
    reply({ id }, socket);
  });
});
process.once("disconnect", () => process.exit());
