/** Answers by HTTP/1.1, by HTTP/2 without TLS, on streams as gRPC has them, and says again what it hears on TCP. */
import { createServer } from "node:http";
import { createServer as createHttp2, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { createServer as createTcp } from "node:net";
import { loadPorts } from "./load.ts";

// A server that closes idle connections does so beside a request on its way now and then: a failure that would be its own.
createServer({ keepAliveTimeout: 0 }, (request, response) => {
  request.resume();
  request.on("end", () => response.end(`by ${process.pid}`));
}).listen(loadPorts.http1, "0.0.0.0");

const http2 = createHttp2();
http2.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
  stream.on("error", () => undefined);
  if (headers["content-type"] !== "application/grpc") {
    stream.respond({ ":status": 200 });
    stream.end(`by ${process.pid}`);
    return;
  }
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.on("data", (chunk: Buffer) => stream.write(chunk));
  stream.on("end", () => stream.end());
});
http2.listen(loadPorts.http2, "0.0.0.0");

createTcp((socket) => {
  socket.on("error", () => undefined);
  socket.pipe(socket);
}).listen(loadPorts.raw, "0.0.0.0");
