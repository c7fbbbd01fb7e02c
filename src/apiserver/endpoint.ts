import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { codeOf, messageOf } from "#base/errors.ts";
import { guardAgainstBrowsers } from "./browser-guard.ts";
import type { Context } from "./context.ts";
import { route, type Routes } from "./handlers/route.ts";
import type { Call } from "./handlers/call.ts";
import { addressText, listen, type ListenAddress } from "./listener.ts";
import { plainEncoding } from "./media.ts";
import { json, writeReply, type Reply } from "./reply.ts";
import { ApiError, statusOf } from "./status.ts";
import { anonymous, localAdministrator } from "./user.ts";

/** How long requests that are being done may still take when the server stops, in milliseconds. */
const drainMs = 5_000;

/** One endpoint of the API server: its listeners, and the requests on them. */
export class Endpoint implements AsyncDisposable {
  /** Where it listens, with real ports. */
  readonly addresses: readonly ListenAddress[];
  readonly #context: Context;
  readonly #servers: readonly Server[];
  readonly #draining: AbortController;

  private constructor(
    context: Context,
    servers: readonly Server[],
    addresses: readonly ListenAddress[],
    draining: AbortController,
  ) {
    this.#context = context;
    this.#servers = servers;
    this.addresses = addresses;
    this.#draining = draining;
  }

  /** Starts to serve. @throws WeftError when an address cannot be listened on; then none is. */
  static async start(context: Context, routes: Routes, listeners: readonly ListenAddress[]): Promise<Endpoint> {
    const draining = new AbortController();
    const servers: Server[] = [];
    const addresses: ListenAddress[] = [];
    try {
      for (const address of listeners) {
        const handle = handler(context, routes, draining.signal, !("socketPath" in address));
        const server = createServer((request, response) => {
          // What cannot even be told to the client ends its connection.
          handle(request, response).catch(() => response.destroy());
        });
        servers.push(server);
        addresses.push(await listen(server, address));
      }
    } catch (error) {
      for (const server of servers) server.close();
      throw error;
    }
    context.logger.info("serving", { endpoint: context.endpoint, addresses: addresses.map(addressText) });
    return new Endpoint(context, servers, addresses, draining);
  }

  /** Takes no more connections, ends watches, and lets other requests finish. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining.abort();
    using _deadline = this.#context.clock.after(drainMs, () => {
      for (const server of this.#servers) server.closeAllConnections();
    });
    await Promise.all(this.#servers.map(close));
  }
}

function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  // A server that never listened says so; it is closed all the same.
  server.close(() => resolve());
  server.closeIdleConnections();
  return promise;
}

/** Serves one request after the other of a listener. */
function handler(
  context: Context,
  routes: Routes,
  draining: AbortSignal,
  guarded: boolean,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const warnings: string[] = [];
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    // Whoever reaches the endpoint may do everything, as its listeners ensure that nobody else does.
    const trustedUser = guarded ? anonymous : localAdministrator;
    const reply = async (): Promise<Reply> => {
      if (guarded) guardAgainstBrowsers(request);
      const url = targetOf(request);
      const call: Call = {
        context,
        user: trustedUser,
        request,
        response,
        method: request.method ?? "GET",
        pathname: url.pathname,
        query: url.searchParams,
        gone: gone.signal,
        draining,
        warn: (message) => warnings.push(message),
      };
      return route(call, routes);
    };
    try {
      const answer = await reply();
      // A server that is about to stop keeps no connection for more requests.
      if (draining.aborted && !response.headersSent) response.setHeader("Connection", "close");
      await writeReply(response, answer, warnings);
    } catch (error) {
      await fail(context, request, response, error);
    }
  };
}

/** A request's target (RFC 9112, 3.2) as a URL without dot segments; its authority means nothing here. */
function targetOf({ url = "/" }: IncomingMessage): URL {
  const target = URL.parse(url.startsWith("/") ? `http://localhost${url}` : url);
  if (target === null) throw new ApiError("BadRequest", "the request's target is neither a path nor a URL");
  return target;
}

async function fail(
  context: Context,
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
): Promise<void> {
  const status = statusOf(error);
  if (codeOf(error) === "Internal") {
    const stack = error instanceof Error ? error.stack : undefined;
    context.logger.error("request failed", {
      endpoint: context.endpoint,
      method: request.method,
      path: request.url,
      error: messageOf(error),
      stack,
    });
  }
  if (response.headersSent) {
    // The answer is half written: only the connection's end can tell.
    response.destroy();
    return;
  }
  // What is left of a body that was too large is not read.
  if (status.code === 413) response.setHeader("Connection", "close");
  if (status.details?.retryAfterSeconds !== undefined) {
    response.setHeader("Retry-After", String(status.details.retryAfterSeconds));
  }
  await writeReply(response, json(status, status.code, plainEncoding(request.headers.accept) ?? "json"), []);
}
