import { createServer } from "node:http";
import type { Server } from "node:http";

/** Serves `/health` for a service that does not speak HTTP itself. */
export function serveHealth(port: number, ready: () => boolean): Server {
  return createServer((request, response) => {
    const known = request.url === "/health";
    const status = known ? (ready() ? 200 : 503) : 404;
    response
      .writeHead(status, { "content-type": "application/json" })
      .end(`${JSON.stringify({ ready: status === 200 })}\n`);
  }).listen(port, "0.0.0.0");
}
