import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { SparingLog } from "#base/sparing-log.ts";
import { type GateLimits, TlsGate } from "#base/tls-gate.ts";
import { type ListenAddress, listenOn } from "#grpc/listen.ts";
import { contextOptions, type CredentialSource } from "#grpc/tls.ts";
import { type AdmissionRequest, type AdmissionResponse, readReview, writeReview } from "#injection/review.ts";
import { type QuestionLimits, Questions } from "./questions.ts";

/** What webhooks are served by. */
export interface WebhookServerOptions {
  readonly address: ListenAddress;
  readonly credentials: CredentialSource;
  /** Answers what is asked at a path below `/inject`. */
  readonly inject: (request: AdmissionRequest, path: string) => AdmissionResponse;
  /** Answers what is asked at `/validate`. */
  readonly validate: (request: AdmissionRequest) => AdmissionResponse;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Other than the usual ones. */
  readonly limits?: { readonly gate?: Partial<GateLimits>; readonly questions?: QuestionLimits };
}

/** Milliseconds that a question may take to arrive. */
const requestMs = 10_000;
/** Milliseconds that a handshake may take, and that a connection is kept which is not used: longer than Go's clients keep one. */
const [handshakeMs, keepMs] = [10_000, 120_000];
/** Connections of all who ask. */
const mostConnections = 4000;

const statuses: Readonly<Partial<Record<ReturnType<typeof codeOf>, number>>> = {
  NotFound: 404,
  InvalidArgument: 400,
  Unsupported: 400,
  ResourceExhausted: 413,
  Unavailable: 503,
};

/** The admission webhooks of the clusters, over TLS: what is asked of `/inject` and `/validate`. */
export class WebhookServer implements AsyncDisposable {
  readonly #options: WebhookServerOptions;
  readonly #server: Server;
  readonly #gate: TlsGate;
  readonly #questions: Questions;
  readonly #told: SparingLog;
  readonly #renewal: Disposable;
  #address: ListenAddress;

  private constructor(options: WebhookServerOptions) {
    const { credentials, clock, limits = {} } = options;
    this.#options = options;
    this.#address = options.address;
    const { cert, key, minVersion } = contextOptions(credentials.current);
    const times = { requestTimeout: requestMs, handshakeTimeout: handshakeMs, keepAliveTimeout: keepMs };
    this.#server = createServer({ cert, key, minVersion, ...times }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#gate = TlsGate.before(this.#server, clock, { connections: mostConnections, ...limits.gate });
    this.#questions = new Questions(limits.questions);
    this.#told = new SparingLog(options.logger, clock);
    this.#renewal = credentials.onChange(() => this.#server.setSecureContext(contextOptions(credentials.current)));
  }

  /** Opens the address. @throws WeftError where that is taken. */
  static async listen(options: WebhookServerOptions): Promise<WebhookServer> {
    const server = new WebhookServer(options);
    server.#address = await listenOn(server.#gate.listening, options.address);
    return server;
  }

  /** Where it listens. */
  get address(): ListenAddress {
    return this.#address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#renewal[Symbol.dispose]();
    const closed = new Promise((resolve) => this.#gate.listening.close(resolve));
    this.#gate[Symbol.dispose]();
    this.#gate.closeAllConnections();
    this.#server.close();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A request that was broken off has no connection any more.
    const { remoteAddress } = request.socket;
    try {
      const body = await this.#answer(request);
      response.writeHead(200, { "content-type": "application/json" }).end(body);
    } catch (error) {
      const status = statuses[codeOf(error)] ?? 500;
      const fields = { path: request.url ?? "", remoteAddress, error: messageOf(error) };
      this.#told.say("warn", "an admission webhook was asked wrongly", fields);
      // What was not read of the question goes with the connection.
      response.writeHead(status, { "content-type": "text/plain", connection: "close" }).end(messageOf(error));
    }
  }

  async #answer(request: IncomingMessage): Promise<string> {
    const { pathname } = new URL(request.url ?? "/", "https://istiod");
    const review = this.#reviewer(pathname);
    if (!review || request.method !== "POST")
      throw new WeftError("NotFound", "POST an AdmissionReview to /inject or /validate");
    const answer = review(readReview(await this.#questions.read(request)));
    if (!answer.allowed)
      this.#told.say("info", "refused by a webhook", { path: pathname, reason: answer.status?.message ?? "" });
    return writeReview(answer);
  }

  #reviewer(path: string): ((request: AdmissionRequest) => AdmissionResponse) | undefined {
    const { inject, validate } = this.#options;
    if (path === "/inject" || path.startsWith("/inject/")) return (request) => inject(request, path);
    return path === "/validate" || path === "/validateconfig" ? validate : undefined;
  }
}
