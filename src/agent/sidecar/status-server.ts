import { type Agent, type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { Server as Listener } from "node:net";
import type { Clock } from "#base/clock.ts";
import { messageOf, WeftError } from "#base/errors.ts";
import { isLoopback } from "#base/loopback.ts";
import type { Logger } from "#base/logger.ts";
import { proxyPorts } from "../bootstrap.ts";
import { type AppProbe, askApplication } from "./app-probe.ts";
import { askLocal, type LocalAnswer, type LocalRequest } from "./local-http.ts";

/** What is answered at the agent's port. */
export interface StatusServerOptions {
  readonly port: number;
  /** Takes the connections, as in another network; the port is opened here unless told. */
  readonly listener?: Listener;
  /** Opens connections to programs of the Pod, where that is another network. */
  readonly agent?: Agent;
  /** The Pod's address, or loopback where the application is to be asked there. */
  readonly application: string;
  readonly probes: ReadonlyMap<string, AppProbe>;
  /** Where the application's own metrics are; undefined where it has none. */
  readonly metrics: string | undefined;
  /** Has the proxy tell its callers to go. */
  readonly drain: () => Promise<void>;
  /** Ends proxy and agent at once; absent where the Pod has no say in that. */
  readonly quit?: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly body: string | Buffer;
}

const textType = "text/plain; version=0.0.4; charset=utf-8";
const openMetrics = "application/openmetrics-text";
/** Milliseconds that a question to the application may take where it is not told. */
const defaultProbeMs = 1000;
/** Milliseconds that metrics may take: Prometheus waits 10 seconds. */
const metricsMs = 9000;
/** Connections of all who ask: whoever reaches the Pod may. */
const mostConnections = 1000;

/** Answers at Istio's port 15020: readiness, merged metrics, the kubelet's questions, and the commands of the container's hooks. */
export class StatusServer implements Disposable {
  readonly #options: StatusServerOptions;
  readonly #server: Server;

  private constructor(options: StatusServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    // The kubelet asks anew each time.
    this.#server.keepAliveTimeout = 5000;
    this.#server.maxConnections = mostConnections;
  }

  /** Opens the port. @throws WeftError `Unavailable` when it is taken. */
  static async listen(options: StatusServerOptions): Promise<StatusServer> {
    const own = new StatusServer(options);
    options.listener?.on("connection", (socket) => own.#server.emit("connection", socket));
    if (options.listener) return own;
    await new Promise<void>((resolve, reject) => {
      own.#server.once("error", (error) =>
        reject(new WeftError("Unavailable", `the agent's port ${options.port} cannot be opened`, error)),
      );
      own.#server.listen(options.port, "0.0.0.0", resolve);
    });
    return own;
  }

  /** The port that was opened. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address ? address.port : this.#options.port;
  }

  [Symbol.dispose](): void {
    this.#options.listener?.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { status, type = "text/plain", body } = await this.#answer(request);
      response.writeHead(status, { "content-type": type }).end(body);
    } catch (error) {
      response.writeHead(503, { "content-type": "text/plain" }).end(messageOf(error));
    }
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const { pathname, search } = new URL(request.url ?? "/", "http://agent");
    switch (pathname) {
      case "/healthz/ready":
        return this.#ready();
      case "/stats/prometheus":
      case "/metrics":
        return this.#metrics(request, search);
      case "/drain":
        return this.#commanded(request, async () => this.#options.drain());
      case "/quitquitquit":
        if (this.#options.quit) return this.#commanded(request, this.#options.quit);
    }
    return this.#probe(request, pathname);
  }

  async #ask(url: string, asked: LocalRequest = {}): Promise<LocalAnswer> {
    const { agent } = this.#options;
    return askLocal(url, { ...asked, ...(agent && { agent }) });
  }

  async #ready(): Promise<Answer> {
    const { status, body } = await this.#ask(`http://127.0.0.1:${proxyPorts.admin}/ready`);
    return { status: status === 200 ? 200 : 503, body };
  }

  /** A command of the Pod's own programs, and of nobody else. */
  async #commanded(request: IncomingMessage, run: () => Promise<void> | void): Promise<Answer> {
    if (!isLoopback(request.socket.remoteAddress ?? ""))
      return { status: 403, body: "Only requests from localhost are allowed" };
    if (request.method !== "POST") return { status: 405, body: "Only POST is allowed" };
    await run();
    return { status: 200, body: "OK" };
  }

  async #probe({ headers }: IncomingMessage, path: string): Promise<Answer> {
    const { probes, application: address, clock } = this.#options;
    const probe = probes.get(path);
    if (!probe) return { status: 404, body: `nothing is known of ${path}` };
    const { timeoutSeconds = 0 } = probe;
    const limit = timeoutSeconds > 0 ? timeoutSeconds * 1000 : defaultProbeMs;
    const elapsed = new AbortController();
    using _timer = clock.after(limit, () => elapsed.abort(new Error(`no answer within ${limit} ms`)));
    const { status, text } = await askApplication(probe, { address, headers, signal: elapsed.signal });
    return { status, body: text };
  }

  /** The proxy's metrics, then the application's in the form that it gives them. What cannot be read is left out. */
  async #metrics({ headers }: IncomingMessage, search: string): Promise<Answer> {
    const { metrics } = this.#options;
    const { accept = "*/*", "x-prometheus-scrape-timeout-seconds": limit } = headers;
    const own = { accept, ...(limit !== undefined && { "x-prometheus-scrape-timeout-seconds": limit }) };
    const [proxy, application] = await Promise.all([
      this.#scrape(`http://127.0.0.1:${proxyPorts.prometheus}/stats/prometheus${search}`, { accept: "text/plain" }),
      metrics === undefined ? undefined : this.#scrape(metrics, own),
    ]);
    const parts = [proxy, application].flatMap((each) => (each ? [each.body] : []));
    // A list in OpenMetrics ends with a mark, which is the application's: so it stands last.
    const type = application?.type.startsWith(openMetrics) === true ? application.type : textType;
    return { status: 200, type, body: Buffer.concat(parts) };
  }

  async #scrape(url: string, headers: Readonly<Record<string, string | string[]>>): Promise<LocalAnswer | undefined> {
    try {
      const answer = await this.#ask(url, { headers, timeoutMs: metricsMs });
      if (answer.status === 200) return answer;
      throw new WeftError("Unavailable", `${url} answers ${answer.status}`);
    } catch (error) {
      this.#options.logger.warn("metrics are missing", { error: messageOf(error) });
      return undefined;
    }
  }
}
