/**
 * Pipes each connection of a listening socket to one address: `forwarder-child.ts STATE HOST PORT`. The socket comes over the
 * IPC channel from the agent, which may end afterwards. Runs in a namespace that reaches the address.
 */
import { renameSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import type { Server, Socket } from "node:net";
import { pipeline } from "node:stream";
import { identityOf } from "./identity.ts";

const [, , state = "", host = "", port = ""] = process.argv;

function join(client: Socket): void {
  const upstream = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
  client.allowHalfOpen = true;
  client.setNoDelay(true);
  // Either side's end is passed on by itself; an error ends both. Nobody is left to tell.
  pipeline(client, upstream, () => undefined);
  pipeline(upstream, client, () => undefined);
  upstream.once("error", () => client.destroy());
  client.once("error", () => upstream.destroy());
}

function serve(server: Server): void {
  server.on("connection", join);
  writeFileSync(`${state}.new`, JSON.stringify(identityOf(process.pid)), { mode: 0o600 });
  renameSync(`${state}.new`, state);
  process.removeListener("disconnect", orphaned);
  process.send?.("listening", () => process.disconnect?.());
}

function orphaned(): void {
  process.exit(1);
}

process.once("disconnect", orphaned);
process.once("message", (_message, handle) => serve(handle as Server));
