/** The stock service: how many copies of a book there are, over gRPC on 9090 and readiness over HTTP on 9091. */
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { findBook } from "./books.ts";
import { serveHealth } from "./health.ts";
import { log, readSettings } from "./instance.ts";
import { countMethod } from "./stock-api.ts";
import type { CountReply, CountRequest } from "./stock-api.ts";
import { stopWell } from "./stopping.ts";

const settings = readSettings("stock", 9090, process.env);
const { service: _service, ...instance } = settings.instance;

function count(call: ServerUnaryCall<CountRequest, CountReply>, reply: sendUnaryData<CountReply>): void {
  const book = findBook(call.request.book);
  if (book === undefined) reply({ code: status.NOT_FOUND, details: `no book "${call.request.book}"` });
  else reply(null, { copies: book.copies, ...instance });
  const [requestId] = call.metadata.get("x-request-id");
  log(settings.instance, "request", {
    path: countMethod.path,
    book: call.request.book,
    found: book !== undefined,
    requestId,
  });
}

const server = new Server();
server.addService({ Count: countMethod }, { Count: count });
server.bindAsync(`0.0.0.0:${settings.port}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  log(settings.instance, "serving", { port: settings.port });
});
const health = serveHealth(Number(settings.get("HEALTH_PORT", "9091")), () => !stopping.begun);
const stopping = stopWell(settings, async () => {
  await new Promise<void>((resolve) => {
    server.tryShutdown(() => resolve());
  });
  health.close();
});
