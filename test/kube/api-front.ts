import { once } from "node:events";
import { type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import { createServer, request as httpsRequest, type RequestOptions, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { text } from "node:stream/consumers";
import type { Authority } from "#base/testing/certificate.ts";

/** How a front answers: as the API behind it; not at all; or each request in one bad way. */
export type Manner =
  | { readonly kind: "well" }
  | { readonly kind: "away" }
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly text?: string;
    }
  /** Begins an answer, and never ends it. */
  | { readonly kind: "hang"; readonly text: string }
  /** Answers watches with lines of its own, and goes on with the connection; everything else as the API. */
  | { readonly kind: "watch"; readonly text: string }
  /** Changes the whole answers of the API, lists among them; watches are told to list again. */
  | { readonly kind: "change"; readonly change: (answer: unknown) => unknown };

/** An API as clusters serve theirs, over TLS to those with a token, in front of one of a test; it can be broken and mended. */
export class ApiFront implements AsyncDisposable {
  /** The API behind it. */
  target: string;
  /** Who may ask. */
  token = "good";
  /** What the token's owner may not list or watch, by plural. */
  readonly forbidden = new Set<string>();
  /** What it answers itself, by path, as JSON. */
  readonly own = new Map<string, object>();
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #tls: RequestOptions;
  readonly #sockets = new Set<Socket>();
  #manner: Manner = { kind: "well" };

  private constructor(target: string, server: Server, tls: RequestOptions) {
    this.target = target;
    this.#server = server;
    this.#tls = tls;
  }

  /** @param tls how the API behind it is spoken to, where that asks who its clients are. */
  static async of(target: string, authority: Authority, tls: RequestOptions = {}): Promise<ApiFront> {
    const { certificate: cert, key } = authority.issue("127.0.0.1");
    const server = createServer({ cert, key });
    const front = new ApiFront(target, server, tls);
    server.on("request", (request, response) => front.#respond(request, response));
    server.on("connection", (socket) => {
      front.#sockets.add(socket);
      socket.once("close", () => front.#sockets.delete(socket));
      if (front.#manner.kind === "away") socket.destroy();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    return front;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Answers like that from now on, and ends what goes on. */
  behave(manner: Manner): void {
    this.#manner = manner;
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.behave({ kind: "away" });
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #respond(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "/";
    this.asked.push(path);
    const manner = this.#manner;
    if (manner.kind === "answer") {
      response.writeHead(manner.status, manner.headers).end(manner.text ?? "");
      return;
    }
    const isWatch = path.includes("watch=true");
    if (isWatch && manner.kind === "change") {
      response.writeHead(410).end();
      return;
    }
    if (manner.kind === "hang" || (isWatch && manner.kind === "watch")) {
      response.writeHead(200, { "content-type": "application/json" }).write(manner.text || " ");
      return;
    }
    const own = this.own.get(path);
    if (own !== undefined) {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(own));
      return;
    }
    const plural = path.split("?")[0]?.split("/").at(-1) ?? "";
    const known = request.headers.authorization === `Bearer ${this.token}`;
    if (!known || this.forbidden.has(plural)) {
      const code = known ? 403 : 401;
      response
        .writeHead(code)
        .end(JSON.stringify({ kind: "Status", code, message: known ? `no ${plural}` : "Unauthorized" }));
      return;
    }
    const { authorization: _, ...headers } = request.headers;
    const options = { method: request.method, headers, ...this.#tls };
    const send = this.target.startsWith("https:") ? httpsRequest : httpRequest;
    const forward = send(this.target + path, options, (answer) => {
      if (manner.kind === "change") {
        void changed(answer, manner.change).then((text) => response.writeHead(answer.statusCode ?? 502).end(text));
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      response.once("close", () => answer.destroy());
    });
    forward.on("error", () => response.destroy());
    request.pipe(forward);
  }
}

async function changed(answer: IncomingMessage, change: (answer: unknown) => unknown): Promise<string> {
  return JSON.stringify(change(JSON.parse(await text(answer)))) ?? "";
}
