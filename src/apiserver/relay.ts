import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { pipeline } from "node:stream/promises";
import { messageOf } from "#base/errors.ts";
import type { Call } from "./handlers/call.ts";
import { ApiError } from "./status.ts";

/** Another server that answers in this one's place. */
export interface Upstream {
  readonly address: UpstreamAddress;
  /** With its query. */
  readonly path: string;
  /** The answer may have no end: it is cut when this server is about to stop. */
  readonly endless?: boolean;
}

/** Where the other server listens. */
export type UpstreamAddress = { readonly socketPath: string } | { readonly url: URL };

/** Headers that belong to one connection and are not passed on (RFC 9110, 7.6.1). */
const hopHeaders = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

function passedOn(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !hopHeaders.has(name) && !named.has(name) && name !== "host"),
  );
}

function send(call: Call, upstream: Upstream, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { address } = upstream;
  const to =
    "socketPath" in address
      ? { socketPath: address.socketPath, host: "localhost" }
      : { protocol: address.url.protocol, host: address.url.hostname, port: address.url.port };
  const outgoing = httpRequest(
    {
      ...to,
      method: call.method,
      path: upstream.path,
      headers: passedOn(call.request.headers),
      signal,
      // A connection of its own: what is relayed may last.
      agent: false,
    },
    resolve,
  );
  outgoing.on("error", reject);
  // The body goes on as it comes; its errors show up as the request's.
  pipeline(call.request, outgoing).catch(reject);
  return promise;
}

/**
 * Passes a request on to another server and its answer back, both as they come.
 * @throws ApiError `ServiceUnavailable` when the other server cannot be reached.
 */
export async function relay(call: Call, upstream: Upstream): Promise<void> {
  const signal = upstream.endless === true ? AbortSignal.any([call.gone, call.draining]) : call.gone;
  let incoming: IncomingMessage;
  try {
    incoming = await send(call, upstream, signal);
  } catch (error) {
    throw new ApiError("ServiceUnavailable", `error trying to reach service: ${messageOf(error)}`);
  }
  call.response.writeHead(incoming.statusCode ?? 502, passedOn(incoming.headers));
  call.response.flushHeaders();
  // Once the answer has begun, what breaks it can only be told by ending the connection.
  await pipeline(incoming, call.response).catch(() => call.response.destroy());
}
