import { createServer, request as httpRequest } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { listenOnSocket } from "#base/unix-socket.ts";
import { readLog } from "#runtime/log.ts";
import type { LogOptions } from "#runtime/log.ts";
import { connectInside } from "#runtime/namespace-socket.ts";
import { namespacePath } from "#runtime/namespace.ts";
import { processState } from "#runtime/process.ts";
import { sandboxName } from "#runtime/sandbox.ts";
import type { CertificateState } from "./certificates/holder.ts";
import type { AgentLayout } from "./layout.ts";
import type { PodRecord } from "./records.ts";

/** What the API shows. */
export interface AgentApiOptions {
  readonly layout: AgentLayout;
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly find: (namespace: string, name: string) => PodRecord | undefined;
  readonly list: () => readonly PodRecord[];
  readonly certificate: (uid: string) => CertificateState | undefined;
}

const statuses: Readonly<Partial<Record<ErrorCode, number>>> = {
  InvalidArgument: 400,
  NotFound: 404,
  FailedPrecondition: 409,
  Unavailable: 502,
};

/** Headers of one connection, which are not passed on (RFC 9110, 7.6.1). */
const hopHeaders = new Set([
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "proxy-connection",
]);

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  if (!/^\d{1,12}$/.test(text)) throw new WeftError("InvalidArgument", `${name}: "${text}" is not a whole number`);
  return Number(text);
}

function flag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  return text === "true" || text === "1" || text === "";
}

function logOptions(query: URLSearchParams, now: number): LogOptions {
  const tailLines = wholeNumber(query, "tailLines");
  const limitBytes = wholeNumber(query, "limitBytes");
  const sinceSeconds = wholeNumber(query, "sinceSeconds");
  const sinceTime = query.get("sinceTime");
  const since =
    sinceSeconds === undefined ? (sinceTime === null ? undefined : Date.parse(sinceTime)) : now - sinceSeconds * 1000;
  if (Number.isNaN(since)) throw new WeftError("InvalidArgument", `sinceTime: "${sinceTime}" is not a time`);
  return {
    follow: flag(query, "follow"),
    timestamps: flag(query, "timestamps"),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(since === undefined ? {} : { since }),
  };
}

/**
 * The agent's own API on a Unix socket, in a kubelet's paths where it has some:
 * `/healthz`, `/pods`, `/containerLogs/{namespace}/{pod}/{container}`, `/proxy/{namespace}/{pod}/{port}/...`.
 */
export class AgentApi implements AsyncDisposable {
  readonly #options: AgentApiOptions;
  readonly #server: Server;
  readonly #end = new AbortController();

  private constructor(options: AgentApiOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /**
   * Opens the socket, for root alone; one that an earlier agent left is replaced.
   * @throws WeftError `AlreadyExists` when another agent of the node runs, and as `listenOnSocket`.
   */
  static async listen(options: AgentApiOptions): Promise<AgentApi> {
    const api = new AgentApi(options);
    await listenOnSocket(api.#server, options.layout.socket);
    return api;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (error) {
      if (response.headersSent || response.destroyed) {
        response.destroy();
        return;
      }
      const status = statuses[codeOf(error)] ?? 500;
      if (status === 500)
        this.#options.logger.error("a request failed", { path: request.url, error: messageOf(error) });
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${messageOf(error)}\n`);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://agent");
    const [, head = "", namespace = "", name = "", fourth = "", ...rest] = url.pathname.split("/");
    if (head === "healthz") {
      response.end("ok");
      return;
    }
    if (head === "pods") {
      const items = this.#options.list().map(({ pod, address, role, containers }) => {
        const certificate = this.#options.certificate(pod.metadata.uid);
        return { pod, address, role, containers, ...(certificate && { certificate }) };
      });
      response.setHeader("content-type", "application/json").end(JSON.stringify({ items }));
      return;
    }
    const record = this.#options.find(decodeURIComponent(namespace), decodeURIComponent(name));
    if ((head !== "containerLogs" && head !== "proxy") || fourth === "")
      throw new WeftError("NotFound", `there is nothing at ${url.pathname}`);
    if (record === undefined) throw new WeftError("NotFound", `no Pod ${namespace}/${name} on this node`);
    if (head === "containerLogs") await this.#logs(record, decodeURIComponent(fourth), url.searchParams, response);
    else await this.#proxy(record, fourth, `/${rest.join("/")}${url.search}`, request, response);
  }

  async #logs(record: PodRecord, container: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const known = Object.hasOwn(record.containers, container) ? record.containers[container] : undefined;
    if (known === undefined) throw new WeftError("NotFound", `the Pod has no container ${container}`);
    const previous = flag(query, "previous");
    const attempt = previous ? known.attempt - 1 : known.attempt;
    if (attempt < 0) {
      const what = previous ? "previous terminated container" : "container";
      const why = known.waiting === undefined ? "" : `: ${known.waiting.message}`;
      throw new WeftError(
        "InvalidArgument",
        `${what} "${container}" in pod "${record.pod.metadata.name}" not found${why}`,
      );
    }
    const { clock, layout } = this.#options;
    const folder = layout.pod(record.pod.metadata.uid).attempt(container, attempt);
    const running = (): boolean => ["running", "starting"].includes(processState(folder).kind);
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const signal = AbortSignal.any([this.#end.signal, gone.signal]);
    const log = readLog(folder, logOptions(query, clock.now()), running, clock, signal);
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    response.flushHeaders();
    await pipeline(log, response).catch(() => response.destroy());
  }

  /** Passes a request on to a port on the Pod's loopback, over a connection made in its namespace. */
  async #proxy(
    record: PodRecord,
    port: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535)
      throw new WeftError("InvalidArgument", `"${port}" is not a port`);
    const network = namespacePath(sandboxName({ instance: this.#options.instance, pod: record.pod.metadata.uid }));
    const socket = await connectInside(network, { host: "127.0.0.1", port: Number(port) });
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([header]) => !hopHeaders.has(header)));
    const outgoing = httpRequest({
      createConnection: () => socket,
      method: request.method,
      path,
      headers: { ...headers, host: `127.0.0.1:${port}`, connection: "close" },
    });
    response.once("close", () => socket.destroy());
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once("response", resolve);
      outgoing.once("error", (error) => reject(new WeftError("Unavailable", `port ${port} of the Pod`, error)));
    });
    await pipeline(request, outgoing).catch(() => undefined);
    const answer = await answered;
    const passedOn = Object.entries(answer.headers).filter(([header]) => !hopHeaders.has(header));
    response.writeHead(answer.statusCode ?? 502, Object.fromEntries(passedOn));
    await pipeline(answer, response).catch(() => response.destroy());
  }
}
