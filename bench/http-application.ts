/** A workload's program for benchmarks: answers every request on port 8080 with 1 KiB, and who its proxy says the caller is. */
import { createServer } from "node:http";

/** It is asked nothing. */
export type ApplicationRequest = { readonly kind: "none" };

/** It says when it listens. */
export type ApplicationAnswer = { readonly kind: "listening" };

const body = "x".repeat(1024);
const server = createServer((request, response) => {
  request.resume();
  response.setHeader("x-caller", request.headers["x-forwarded-client-cert"] ?? "unknown");
  response.end(body);
});
// Proxies keep their connections, however long nothing is asked of this workload.
server.keepAliveTimeout = 0;
server.listen(8080, "0.0.0.0", () => void process.send?.({ kind: "listening" } satisfies ApplicationAnswer));
process.on("disconnect", () => process.exit());
