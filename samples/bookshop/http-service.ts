import { createServer } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { log } from "./instance.ts";
import type { Settings } from "./instance.ts";
import { stopWell } from "./stopping.ts";

/** A request as a service's handler sees it. */
export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  /** The whole body as text, at most 64 KiB. */
  readonly body: string;
}

/** What a handler answers: JSON, or text with a type. */
export type Reply =
  | { readonly status: number; readonly json: unknown }
  | { readonly status: number; readonly text: string; readonly headers: Readonly<Record<string, string>> };

const maxBody = 64 * 1024;

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  let text = "";
  request.setEncoding("utf8");
  for await (const part of request as AsyncIterable<string>) {
    text += part;
    if (text.length > maxBody) return undefined;
  }
  return text;
}

async function replyTo(request: IncomingMessage, handle: (asked: Asked) => Promise<Reply>): Promise<Reply> {
  const body = await bodyOf(request);
  if (body === undefined) return { status: 413, json: { error: "the body is too large" } };
  const url = new URL(request.url ?? "/", "http://bookshop");
  return handle({ method: request.method ?? "GET", url, headers: request.headers, body });
}

function send(response: ServerResponse, reply: Reply, closing: boolean): void {
  const headers = "json" in reply ? { "content-type": "application/json" } : reply.headers;
  const text = "json" in reply ? `${JSON.stringify(reply.json)}\n` : reply.text;
  const last = closing ? { connection: "close" } : {};
  response.writeHead(reply.status, { ...headers, ...last, "content-length": Buffer.byteLength(text) }).end(text);
}

/** Serves HTTP/1.1 with `/health` for readiness, one log line a request, and a good end. */
export function serveHttp(settings: Settings, handle: (asked: Asked) => Promise<Reply>): void {
  const { instance, port } = settings;
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === "/health") {
      send(response, { status: stopping.begun ? 503 : 200, json: { ready: !stopping.begun } }, stopping.begun);
      return;
    }
    const from = performance.now();
    let reply: Reply;
    try {
      const fails = Math.random() * 100 < settings.failPercent;
      reply = fails ? { status: 503, json: { error: "told to fail" } } : await replyTo(request, handle);
    } catch (error) {
      reply = { status: 500, json: { error: error instanceof Error ? error.message : String(error) } };
    }
    send(response, reply, stopping.begun);
    const { method, url: path, headers } = request;
    const ms = Math.round((performance.now() - from) * 10) / 10;
    // Who called, as the proxy says after mutual TLS; applications cannot say so themselves.
    const { host: authority, "x-request-id": requestId, "x-forwarded-client-cert": xfcc } = headers;
    log(instance, "request", { method, authority, path, status: reply.status, ms, requestId, xfcc });
  };
  const server = createServer((request, response) => void respond(request, response));
  // A proxy in front keeps connections for as long as it likes: closing an idle one here would race with its next request.
  server.keepAliveTimeout = 0;
  const stopping = stopWell(settings, async () => {
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  server.listen(port, "0.0.0.0", () => log(instance, "serving", { port }));
}
