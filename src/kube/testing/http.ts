import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";

/** A request as a test's server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  /** Parsed JSON, or undefined without a body. */
  readonly body: unknown;
}

/** A server of a test: answers by a function and remembers what it was asked. */
export interface TestServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`, `https://...` or `unix://...`. */
  readonly url: string;
  readonly requests: readonly SeenRequest[];
}

/** Where a test's server listens: a loopback port unless a socket's path is given. */
export interface TestServerOptions {
  readonly path?: string;
  readonly tls?: ServerOptions;
  /** Milliseconds that connections are kept; Node's own unless told. */
  readonly keepAliveTimeout?: number;
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
  const text = Buffer.concat(parts).toString("utf8");
  return text === "" ? undefined : (JSON.parse(text) as unknown);
}

/** Answers with JSON. */
export function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Starts a server whose answers a function gives. */
export async function testServer(
  respond: (request: SeenRequest, response: ServerResponse) => void,
  options: TestServerOptions = {},
): Promise<TestServer> {
  const requests: SeenRequest[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bodyOf(request);
    const url = new URL(request.url ?? "/", "http://test");
    const seen = { method: request.method ?? "", url, headers: request.headers, body };
    requests.push(seen);
    respond(seen, response);
  };
  const listener: RequestListener = (request, response) => void serve(request, response);
  const { tls, keepAliveTimeout } = options;
  const kept = keepAliveTimeout === undefined ? {} : { keepAliveTimeout };
  const server: Server =
    tls === undefined ? createServer(kept, listener) : createTlsServer({ ...tls, ...kept }, listener);
  server.listen(options.path === undefined ? { host: "127.0.0.1", port: 0 } : { path: options.path });
  await once(server, "listening");
  const scheme = options.tls === undefined ? "http" : "https";
  const url =
    options.path === undefined
      ? `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`
      : `unix://${options.path}`;
  return {
    url,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}
