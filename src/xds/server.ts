import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { GrpcStream, isGrpc, refuse } from "#grpc/stream.ts";
import { XdsHub, type HubOptions, type XdsFigures } from "./hub.ts";
import { Intake } from "./intake.ts";
import { Keepalive } from "#grpc/keepalive.ts";
import { listenOn, type ListenAddress } from "#grpc/listen.ts";
import type { Variant } from "./message.ts";
import { unreadable } from "./misconduct.ts";
import type { ProxyFinding, ProxyStandings, ProxyStatus, ProxyStatusSource } from "./port.ts";
import { RequestReader } from "./request.ts";
import { adsService } from "#proto/ads.ts";

/** What a server needs. */
export interface XdsServerOptions extends HubOptions {
  /** Unix sockets and loopback addresses. */
  readonly listen: readonly ListenAddress[];
  /** Milliseconds over which streams are ended when the server is disposed. */
  readonly drainMs?: number;
  /** Milliseconds between pings to a connection; one that has not answered by the next is cut. */
  readonly keepaliveMs?: number;
}

/** A running server. Disposing drains it. */
export interface XdsServer extends AsyncDisposable, ProxyStatusSource {
  /** Where it listens, ports filled in. */
  readonly addresses: readonly ListenAddress[];
  /** Whether proxies are still to be told of what changed. */
  readonly busy: boolean;
  /** What it did and holds. */
  figures(): XdsFigures;
}

/**
 * Serves ADS (`envoy.service.discovery.v3.AggregatedDiscoveryService`), delta and state-of-the-world, from a source.
 * @throws WeftError when an address cannot be listened on.
 */
export async function createXdsServer(options: XdsServerOptions): Promise<XdsServer> {
  const server = new AdsServer(options);
  try {
    await server.listen(options.listen);
  } catch (fault) {
    await server[Symbol.asyncDispose]();
    throw fault;
  }
  return server;
}

const variants: Readonly<Record<string, Variant>> = {
  [adsService.deltaAggregatedResources.path]: "delta",
  [adsService.streamAggregatedResources.path]: "sotw",
};

/** Milliseconds that the last statuses get to leave. */
const lastWordsMs = 20;

class AdsServer implements XdsServer {
  readonly #hub: XdsHub;
  readonly #reader: RequestReader;
  readonly #intake: Intake;
  readonly #servers: Http2Server[] = [];
  readonly #keepalive: Keepalive;
  readonly #clock: Clock;
  readonly #drainMs: number;
  #addresses: readonly ListenAddress[] = [];
  #disposed: Promise<void> | undefined;

  constructor(options: XdsServerOptions) {
    const { drainMs = 1000, keepaliveMs = 30_000 } = options;
    this.#hub = new XdsHub(options);
    this.#reader = new RequestReader(this.#hub.limits);
    this.#intake = new Intake(this.#hub.limits.partialBytes);
    this.#clock = options.clock;
    this.#drainMs = drainMs;
    this.#keepalive = new Keepalive(keepaliveMs, options.clock);
  }

  get addresses(): readonly ListenAddress[] {
    return this.#addresses;
  }

  async listen(addresses: readonly ListenAddress[]): Promise<void> {
    for (const address of addresses) {
      const server = this.#createServer();
      this.#addresses = [...this.#addresses, await listenOn(server, address)];
      this.#servers.push(server);
    }
  }

  proxies(): readonly ProxyStatus[] {
    return this.#hub.proxies();
  }

  refusing(): readonly ProxyStatus[] {
    return this.#hub.refusing();
  }

  standings(): ProxyStandings {
    return this.#hub.standings();
  }

  findings(): readonly ProxyFinding[] {
    return this.#hub.findings();
  }

  onChange(callback: () => void): Disposable {
    return this.#hub.onChange(callback);
  }

  get busy(): boolean {
    return this.#hub.busy;
  }

  figures(): XdsFigures {
    return this.#hub.figures();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    for (const server of this.#servers) server.close();
    const streams = this.#hub.figures().streams;
    await this.#hub.drain(this.#drainMs);
    if (streams > 0) await this.#clock.sleep(lastWordsMs);
    this.#keepalive[Symbol.dispose]();
    this.#hub[Symbol.dispose]();
  }

  #createServer(): Http2Server {
    const maxConcurrentStreams = this.#hub.limits.streamsPerConnection;
    // What waits for peers is bounded over all of them, not for each.
    const server: Http2Server = createServer({
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
      settings: { maxConcurrentStreams },
    });
    server.on("session", (session) => {
      this.#keepalive.watch(session);
      session.on("stream", (stream, headers) => this.#accept(stream, headers));
    });
    return server;
  }

  #accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const transport = new GrpcStream(stream);
    if (!isGrpc(headers)) {
      refuse(stream);
      return;
    }
    const { ":path": path = "" } = headers;
    const variant = variants[path];
    if (!variant) {
      transport.end(new WeftError("Unsupported", `there is no method ${path}`));
      return;
    }
    const session = this.#hub.open(variant, transport);
    transport.follow(this.#hub.limits.requestBytes, {
      message: (bytes) => session.receive(() => this.#reader[variant](bytes), bytes.length),
      held: (bytes) => this.#intake.holds(session, bytes),
      end: (reason) => {
        this.#intake.holds(session, 0);
        session.end(reason && unreadable(reason));
      },
    });
  }
}
