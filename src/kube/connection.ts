import { readFile } from "node:fs/promises";
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Clock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { IdleSockets, closeIdle, longestReuseMs } from "./idle-sockets.ts";

/** Where an API server is and how a client shows who it is. Certificates and keys are PEM text. */
export interface ServerAddress {
  /** `http://host:port`, `https://host:port` (either may have a path) or `unix:///path/of/a.sock`, with TLS where `ca` is given. */
  readonly url: string;
  /** Authorities that the server's certificate must come from; the system's unless told. */
  readonly ca?: string;
  /** The name that the server's certificate must have, where it is not the URL's. */
  readonly serverName?: string;
  /** Accept any certificate. */
  readonly insecure?: boolean;
  /** The client's certificate and key. */
  readonly certificate?: string;
  readonly key?: string;
  /** A bearer token. */
  readonly token?: string;
  /** A file that holds the bearer token and may be renewed; read for each request. */
  readonly tokenFile?: string;
}

/** One request. */
export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Absolute, already encoded. */
  readonly path: string;
  /** Members that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `application/json` unless told. */
  readonly contentType?: string;
  /** `application/json` unless told. */
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds until a whole response must have arrived (`send`), or its headers (`open`); 30,000 unless told. */
  readonly timeoutMs?: number;
}

/** A whole response, of any status. */
export interface ApiResponse {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** A response whose body arrives over time. Leaving its iteration early closes the request. */
export interface ApiStream {
  readonly status: number;
  readonly chunks: AsyncIterable<Buffer>;
}

/** What a connection needs besides its server. */
export interface ConnectionOptions {
  readonly clock: Clock;
  /** How the client names itself; `weft` unless told. */
  readonly userAgent?: string;
  /** Requests in flight at once, others wait; 16 unless told. Streams do not count. */
  readonly maxRequests?: number;
  /** Bytes that a whole response may have; 64 MiB unless told. */
  readonly maxResponseBytes?: number;
}

/** A way to the server, with the connections that were made on it. */
interface Way {
  readonly address: ServerAddress;
  readonly target: ReturnType<typeof targetOf>;
  readonly requests: HttpAgent;
  readonly streams: HttpAgent;
}

type Pool = "requests" | "streams";

interface Exchange {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
}

/** Why an answer is not read to its end. */
class AnswerTooLarge extends Error {}

/** Whether a request failed because its answer is larger than this side takes: one that asks for less may succeed. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof WeftError && error.cause instanceof AnswerTooLarge;
}

const defaultTimeoutMs = 30_000;
const maxStreams = 1024;
/** Times that a request is sent at most, where the server says each time when to send it again. */
const maxAttempts = 10;

function targetOf(address: ServerAddress): { readonly options: RequestOptions; readonly prefix: string; tls: boolean } {
  let url: URL;
  try {
    url = new URL(address.url);
  } catch {
    throw new WeftError("InvalidArgument", `"${address.url}" is not a URL of an API server`);
  }
  if (url.protocol === "unix:")
    return {
      options: { socketPath: decodeURIComponent(url.pathname), host: "localhost" },
      prefix: "",
      tls: address.ca !== undefined,
    };
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new WeftError("InvalidArgument", `"${address.url}": an API server's URL is http, https or unix`);
  const tls = url.protocol === "https:";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? (tls ? 443 : 80) : Number(url.port);
  return { options: { host, port }, prefix: url.pathname.replace(/\/$/, ""), tls };
}

function tlsOptions(address: ServerAddress): object {
  return {
    ...(address.ca === undefined ? {} : { ca: address.ca }),
    ...(address.serverName === undefined ? {} : { servername: address.serverName }),
    ...(address.certificate === undefined ? {} : { cert: address.certificate }),
    ...(address.key === undefined ? {} : { key: address.key }),
    rejectUnauthorized: address.insecure !== true,
  };
}

function pathOf(prefix: string, request: ApiRequest): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  return `${prefix}${request.path}${query.size === 0 ? "" : `?${query.toString()}`}`;
}

/**
 * Whether a request may be repeated because the server closed an idle connection just as it was used again. When writing failed,
 * the server cannot have had the whole request; when it was reset later, it may have carried it out, so that only reading again
 * does no harm. Writes with a precondition (`resourceVersion`, `uid`) are no exception: done twice they would change nothing,
 * but the second answer, a conflict, would tell a writer that somebody else was first. Who wrote looks and decides; that this
 * is rare is for `IdleSockets` and for servers that keep connections longer than clients.
 */
function wasStale(error: unknown, method: ApiRequest["method"], request: ClientRequest): boolean {
  const { code } = error as { readonly code?: string };
  return request.reusedSocket && (code === "EPIPE" || (code === "ECONNRESET" && method === "GET"));
}

/**
 * Milliseconds after which a server that is too busy for a request wants it again; undefined when it is not, or does not say (in
 * seconds, RFC 9110 10.2.3). It has not begun with what it refuses in this way, so that writes may be repeated too.
 */
function retryAfterMs({ statusCode, headers }: IncomingMessage): number | undefined {
  const after = headers["retry-after"];
  const refused = statusCode === 429 || statusCode === 503;
  return refused && after !== undefined && /^\d+$/.test(after) ? Number(after) * 1000 : undefined;
}

/**
 * A pool of connections to one API server, with keep-alive. What the server is too busy for is sent again when it says. Failures of
 * the network throw WeftError `Unavailable`, an elapsed time `DeadlineExceeded`, an aborted signal `Cancelled`; responses of any
 * other kind are returned, whatever their status.
 */
export class Connection implements Disposable {
  readonly #options: ConnectionOptions;
  readonly #idle = new IdleSockets();
  #way: Way;

  /** @throws WeftError `InvalidArgument` when the URL is none. */
  constructor(address: ServerAddress, options: ConnectionOptions) {
    this.#options = options;
    this.#way = this.#wayTo(address);
  }

  /** The server's URL, for messages. */
  get url(): string {
    return this.#way.address.url;
  }

  /**
   * Goes on with another address of the same server, or with other credentials. Requests in flight are answered; streams end, so
   * that who follows them begins again with what holds now.
   * @throws WeftError `InvalidArgument` when the URL is none, and goes on as before.
   */
  renew(address: ServerAddress): void {
    const before = this.#way;
    this.#way = this.#wayTo(address);
    closeIdle(before.requests);
    before.streams.destroy();
  }

  /** Sends a request and reads the whole response. */
  async send(request: ApiRequest): Promise<ApiResponse> {
    using limit = this.#limit(request);
    try {
      const { response } = await this.#admitted(request, "requests", limit.signal);
      return { status: response.statusCode ?? 0, headers: response.headers, body: await this.#read(response) };
    } catch (error) {
      throw this.#fault(error, request, limit.signal);
    }
  }

  /** Sends a request and returns as soon as the response's headers are there. The signal also ends the body. */
  async open(request: ApiRequest): Promise<ApiStream> {
    const limit = this.#limit(request);
    try {
      const { response } = await this.#admitted(request, "streams", limit.signal);
      const chunks = this.#chunks(response, request, limit.signal);
      return { status: response.statusCode ?? 0, chunks };
    } catch (error) {
      throw this.#fault(error, request, limit.signal);
    } finally {
      limit[Symbol.dispose]();
    }
  }

  /** Closes all connections; requests in flight fail. */
  [Symbol.dispose](): void {
    this.#way.requests.destroy();
    this.#way.streams.destroy();
  }

  #wayTo(address: ServerAddress): Way {
    const target = targetOf(address);
    const agent = (maxSockets: number): HttpAgent => {
      // What is not used again is closed in time too, also earlier where the server's hint says so (Node sees to that).
      const common = {
        keepAlive: true,
        maxSockets,
        maxFreeSockets: 4,
        scheduling: "fifo",
        timeout: longestReuseMs,
      } as const;
      return target.tls ? new HttpsAgent({ ...common, ...tlsOptions(address) }) : new HttpAgent(common);
    };
    return { address, target, requests: agent(this.#options.maxRequests ?? 16), streams: agent(maxStreams) };
  }

  #limit(request: ApiRequest): Disposable & { readonly signal: AbortSignal } {
    const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
    const timeout = new AbortController();
    const timer = this.#options.clock.after(timeoutMs, () =>
      timeout.abort(new WeftError("DeadlineExceeded", `no answer from ${this.url} in ${timeoutMs} ms`)),
    );
    const signal = request.signal === undefined ? timeout.signal : AbortSignal.any([request.signal, timeout.signal]);
    return { signal, [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  /** Sends a request, and again when the server asks for that, as long as there is time: its refusal is returned otherwise. */
  async #admitted(request: ApiRequest, pool: Pool, signal: AbortSignal): Promise<Exchange> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + (request.timeoutMs ?? defaultTimeoutMs);
    for (let attempt = 1; ; attempt += 1) {
      const exchange = await this.#exchange(request, pool, signal);
      const wait = retryAfterMs(exchange.response);
      if (wait === undefined || attempt === maxAttempts || clock.monotonic() + wait >= deadline) return exchange;
      // Read to its end, so that the connection can be used again.
      exchange.response.resume();
      await clock.sleep(wait, signal);
    }
  }

  async #exchange(request: ApiRequest, pool: Pool, signal: AbortSignal): Promise<Exchange> {
    const way = this.#way;
    const agent = way[pool];
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    // Without a length Node would send the body of a DELETE with no framing at all.
    const length = body === undefined ? {} : { "content-length": body.length };
    const headers = { ...(await this.#headers(way, request)), ...length };
    for (let attempt = 0; ; attempt += 1) {
      const now = this.#options.clock.monotonic();
      this.#idle.closeOver(agent, now);
      const started = this.#start(way.target, request, { headers, agent, signal }, body);
      try {
        const response = await started.response;
        this.#idle.answered(response, now);
        return { request: started.request, response };
      } catch (error) {
        if (attempt > 0 || !wasStale(error, request.method, started.request)) throw error;
        closeIdle(agent);
      }
    }
  }

  #start(
    target: Way["target"],
    request: ApiRequest,
    options: RequestOptions,
    body: Buffer | undefined,
  ): { readonly request: ClientRequest; readonly response: Promise<IncomingMessage> } {
    const start = target.tls ? httpsRequest : httpRequest;
    const path = pathOf(target.prefix, request);
    const sent = start({ ...target.options, ...options, method: request.method, path });
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once("response", resolve);
      // Stays for the request's life: a fault after the response reaches its reader through the response itself.
      sent.on("error", reject);
    });
    sent.end(body);
    return { request: sent, response };
  }

  async #headers({ address }: Way, request: ApiRequest): Promise<OutgoingHttpHeaders> {
    const { token, tokenFile } = address;
    const bearer = tokenFile === undefined ? token : (await readFile(tokenFile, "utf8")).trim();
    return {
      accept: request.accept ?? "application/json",
      "user-agent": this.#options.userAgent ?? "weft",
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(request.body === undefined ? {} : { "content-type": request.contentType ?? "application/json" }),
    };
  }

  async #read(response: IncomingMessage): Promise<Buffer> {
    const most = this.#options.maxResponseBytes ?? 64 * 1024 * 1024;
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > most)
        throw new WeftError(
          "ResourceExhausted",
          `an answer of ${this.url} is too large`,
          new AnswerTooLarge(`it has more than ${most} bytes`),
        );
      parts.push(part);
    }
    return Buffer.concat(parts, size);
  }

  async *#chunks(response: IncomingMessage, request: ApiRequest, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      yield* response as AsyncIterable<Buffer>;
    } catch (error) {
      throw this.#fault(error, request, signal);
    } finally {
      response.destroy();
    }
  }

  #fault(error: unknown, request: ApiRequest, signal: AbortSignal): WeftError {
    if (error instanceof WeftError) return error;
    if (signal.aborted) {
      const reason: unknown = signal.reason;
      return reason instanceof WeftError ? reason : new WeftError("Cancelled", "the request was cancelled", reason);
    }
    const what = `${request.method} ${request.path} of ${this.url} failed`;
    return new WeftError("Unavailable", `${what}: ${messageOf(error)}`, error);
  }
}
