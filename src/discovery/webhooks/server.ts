import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { type ListenAddress, listenOn } from "#grpc/listen.ts";
import { contextOptions, type CredentialSource } from "#grpc/tls.ts";
import { type AdmissionRequest, type AdmissionResponse, readReview, writeReview } from "#injection/review.ts";

/** What webhooks are served by. */
export interface WebhookServerOptions {
  readonly address: ListenAddress;
  readonly credentials: CredentialSource;
  /** Answers what is asked at a path below `/inject`. */
  readonly inject: (request: AdmissionRequest, path: string) => AdmissionResponse;
  /** Answers what is asked at `/validate`. */
  readonly validate: (request: AdmissionRequest) => AdmissionResponse;
  readonly logger: Logger;
}

/** Bytes of a question: an object of 3 MiB, before and after a change. */
const mostBytes = 8 * 1024 * 1024;
/** Milliseconds that a question may take to arrive. */
const requestMs = 10_000;

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > mostBytes) throw new WeftError("ResourceExhausted", `the question is longer than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const statuses: Readonly<Partial<Record<ReturnType<typeof codeOf>, number>>> = {
  NotFound: 404,
  InvalidArgument: 400,
  Unsupported: 400,
  ResourceExhausted: 413,
};

/** The admission webhooks of the clusters, over TLS: what is asked of `/inject` and `/validate`. */
export class WebhookServer implements AsyncDisposable {
  readonly #options: WebhookServerOptions;
  readonly #server: Server;
  readonly #renewal: Disposable;
  #address: ListenAddress;

  private constructor(options: WebhookServerOptions) {
    const { credentials } = options;
    this.#options = options;
    this.#address = options.address;
    const { cert, key, minVersion } = contextOptions(credentials.current);
    this.#server = createServer({ cert, key, minVersion, requestTimeout: requestMs }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#renewal = credentials.onChange(() => this.#server.setSecureContext(contextOptions(credentials.current)));
  }

  /** Opens the address. @throws WeftError where that is taken. */
  static async listen(options: WebhookServerOptions): Promise<WebhookServer> {
    const server = new WebhookServer(options);
    server.#address = await listenOn(server.#server, options.address);
    return server;
  }

  /** Where it listens. */
  get address(): ListenAddress {
    return this.#address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#renewal[Symbol.dispose]();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await this.#answer(request);
      response.writeHead(200, { "content-type": "application/json" }).end(body);
    } catch (error) {
      const status = statuses[codeOf(error)] ?? 500;
      this.#options.logger.warn("an admission webhook was asked wrongly", {
        path: request.url ?? "",
        error: messageOf(error),
      });
      // What was not read of the question goes with the connection.
      response.writeHead(status, { "content-type": "text/plain", connection: "close" }).end(messageOf(error));
    }
  }

  async #answer(request: IncomingMessage): Promise<string> {
    const { pathname } = new URL(request.url ?? "/", "https://istiod");
    const review = this.#reviewer(pathname);
    if (!review || request.method !== "POST")
      throw new WeftError("NotFound", "POST an AdmissionReview to /inject or /validate");
    const answer = review(readReview(await readText(request)));
    if (!answer.allowed)
      this.#options.logger.info("refused by a webhook", { path: pathname, reason: answer.status?.message ?? "" });
    return writeReview(answer);
  }

  #reviewer(path: string): ((request: AdmissionRequest) => AdmissionResponse) | undefined {
    const { inject, validate } = this.#options;
    if (path === "/inject" || path.startsWith("/inject/")) return (request) => inject(request, path);
    return path === "/validate" || path === "/validateconfig" ? validate : undefined;
  }
}
