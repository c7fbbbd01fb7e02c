import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { codeOf, messageOf } from "#base/errors.ts";
import { sweep, sweepEveryMs } from "./access.ts";
import { admit } from "./admit.ts";
import type { Context } from "./context.ts";
import { route, type Routes } from "./handlers/route.ts";
import type { Call } from "./handlers/call.ts";
import { Front } from "./front.ts";
import { addressText, type ListenAddress } from "./listener.ts";
import { plainEncoding } from "./media.ts";
import { json, writeReply } from "./reply.ts";
import { ApiError, statusOf } from "./status.ts";
import { ServingTls } from "./pki/serving.ts";

/** How long requests that are being done may still take when the server stops, in milliseconds. */
const drainMs = 5_000;

/** Milliseconds between looks at the ages of certificates. */
const renewEveryMs = 3_600_000;

/** One endpoint of the API server: its listeners, and the requests on them. */
export class Endpoint implements AsyncDisposable {
  readonly #context: Context;
  readonly #fronts: readonly Front[];
  readonly #draining: AbortController;
  readonly #upkeep = new DisposableStack();

  private constructor(
    context: Context,
    fronts: readonly Front[],
    draining: AbortController,
    tls: ServingTls | undefined,
  ) {
    this.#context = context;
    this.#fronts = fronts;
    this.#draining = draining;
    const { access, clock } = context;
    if (tls !== undefined) this.#upkeep.use(clock.every(renewEveryMs, () => tls.maintain(fronts)));
    if (access !== undefined) this.#upkeep.use(clock.every(sweepEveryMs, () => void sweep(access, context)));
  }

  /** Where it listens, with real ports. */
  get addresses(): readonly ListenAddress[] {
    return this.#fronts.map(({ address }) => address);
  }

  /** Starts to serve. @throws WeftError when an address cannot be listened on; then none is. */
  static async start(context: Context, routes: Routes, listeners: readonly ListenAddress[]): Promise<Endpoint> {
    const draining = new AbortController();
    const { access, clock, logger } = context;
    const tls = access === undefined ? undefined : new ServingTls(access, listeners, clock, logger);
    const fronts: Front[] = [];
    try {
      for (const address of listeners) {
        const local = "socketPath" in address;
        const serve = (trusted: boolean): RequestListener => {
          const handle = handler(context, routes, draining.signal, trusted);
          return (request, response) => {
            // What cannot even be told to the client ends its connection.
            handle(request, response).catch(() => response.destroy());
          };
        };
        fronts.push(
          await Front.open(address, { plain: serve(local), tls: serve(false) }, tls?.settings, context.clock),
        );
      }
    } catch (error) {
      for (const front of fronts) void front.close();
      throw error;
    }
    const addresses = fronts.map(({ address }) => addressText(address, access !== undefined));
    logger.info("serving", { endpoint: context.endpoint, addresses });
    return new Endpoint(context, fronts, draining, tls);
  }

  /** Takes no more connections, ends watches, and lets other requests finish. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining.abort();
    this.#upkeep.dispose();
    using _deadline = this.#context.clock.after(drainMs, () => {
      for (const front of this.#fronts) front.closeAllConnections();
    });
    await Promise.all(this.#fronts.map(async (front) => front.close()));
  }
}

/** Serves one request after the other of a listener. @param local it is the endpoint's Unix socket, without TLS. */
export function handler(
  context: Context,
  routes: Routes,
  draining: AbortSignal,
  local: boolean,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const warnings: string[] = [];
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      const url = targetOf(request);
      using admitted = await admit(context, request, url, local);
      const call: Call = {
        context,
        by: admitted.by,
        blind: admitted.blind ?? false,
        request,
        response,
        method: request.method ?? "GET",
        pathname: url.pathname,
        query: url.searchParams,
        gone: gone.signal,
        draining: admitted.ends === undefined ? draining : AbortSignal.any([draining, admitted.ends]),
        warn: (message) => warnings.push(message),
      };
      const answer = await route(call, routes);
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
  // What is left of a body that was too large is not read, and who is a stranger holds no connection.
  if (status.code === 413 || status.code === 401) response.setHeader("Connection", "close");
  if (status.details?.retryAfterSeconds !== undefined) {
    response.setHeader("Retry-After", String(status.details.retryAfterSeconds));
  }
  await writeReply(response, json(status, status.code, plainEncoding(request.headers.accept) ?? "json"), []);
}
