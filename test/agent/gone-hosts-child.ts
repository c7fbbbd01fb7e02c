/**
 * Runs on a host of a test's network: `serve` takes connections; `call ADDRESS` makes one, says `connected`, and says `ended MS` of it and
 * `not taken MS` of another that it makes then.
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { systemClock } from "#base/clock.ts";
import { noticeGoneHosts } from "#base/gone-hosts.ts";

const port = 9000;
const [, , mode, address = ""] = process.argv;

async function failed(socket: Socket): Promise<number> {
  const began = performance.now();
  await new Promise((resolve) => socket.on("error", () => undefined).once("close", resolve));
  return Math.round(performance.now() - began);
}

if (mode === "serve") {
  createServer((socket) => {
    socket.on("error", () => undefined);
    socket.write("x");
  }).listen(port, () => console.log("serves"));
} else {
  noticeGoneHosts(systemClock);
  const socket = connect({ host: address, port });
  await once(socket, "data");
  console.log("connected");
  console.log(`ended ${await failed(socket)}`);
  console.log(`not taken ${await failed(connect({ host: address, port }))}`);
}
