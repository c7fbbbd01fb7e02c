import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import type { Clock } from "#base/clock.ts";
import { XdsHub, type HubOptions, type XdsFigures } from "./hub.ts";
import { listenOn, targetOf, type ListenAddress } from "./listen.ts";
import type { Variant } from "./message.ts";
import type { ProxyStatus, ProxyStatusSource } from "./port.ts";
import { RequestReader, type Request } from "./request.ts";
import { adsService } from "#proto/ads.ts";
import { grpcTransport } from "./service.ts";

/** What a server needs. */
export interface XdsServerOptions extends HubOptions {
  /** Unix sockets and loopback addresses. */
  readonly listen: readonly ListenAddress[];
  /** Milliseconds over which streams are ended when the server is disposed. */
  readonly drainMs?: number;
  /** Milliseconds between pings to a silent connection. */
  readonly keepaliveMs?: number;
}

/** A running server. Disposing drains it. */
export interface XdsServer extends AsyncDisposable, ProxyStatusSource {
  /** Where it listens, ports filled in. */
  readonly addresses: readonly ListenAddress[];
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

type Call = ServerDuplexStream<Buffer, Buffer>;

/** Milliseconds that the last statuses get to leave. */
const lastWordsMs = 20;

class AdsServer implements XdsServer {
  readonly #hub: XdsHub;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #drainMs: number;
  #addresses: readonly ListenAddress[] = [];
  #disposed: Promise<void> | undefined;

  constructor(options: XdsServerOptions) {
    const { drainMs = 1000, keepaliveMs = 30_000 } = options;
    this.#hub = new XdsHub(options);
    this.#clock = options.clock;
    this.#drainMs = drainMs;
    this.#server = new Server({
      "grpc.max_receive_message_length": this.#hub.limits.requestBytes,
      "grpc.max_send_message_length": -1,
      "grpc.max_concurrent_streams": this.#hub.limits.streamsPerConnection,
      "grpc.keepalive_time_ms": keepaliveMs,
      "grpc.keepalive_timeout_ms": Math.min(30_000, keepaliveMs),
    });
    const reader = new RequestReader();
    this.#server.addService(adsService, {
      deltaAggregatedResources: (call: Call) => this.#accept("delta", call, (bytes) => reader.delta(bytes)),
      streamAggregatedResources: (call: Call) => this.#accept("sotw", call, (bytes) => reader.sotw(bytes)),
    });
  }

  get addresses(): readonly ListenAddress[] {
    return this.#addresses;
  }

  async listen(addresses: readonly ListenAddress[]): Promise<void> {
    for (const address of addresses) this.#addresses = [...this.#addresses, await listenOn(this.#server, address)];
  }

  proxies(): readonly ProxyStatus[] {
    return this.#hub.proxies();
  }

  onChange(callback: () => void): Disposable {
    return this.#hub.onChange(callback);
  }

  figures(): XdsFigures {
    return this.#hub.figures();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    for (const address of this.#addresses) this.#server.unbind(targetOf(address));
    const streams = this.#hub.figures().streams;
    await this.#hub.drain(this.#drainMs);
    if (streams > 0) await this.#clock.sleep(lastWordsMs);
    this.#server.forceShutdown();
    this.#hub[Symbol.dispose]();
  }

  #accept(variant: Variant, call: Call, read: (bytes: Buffer) => Request): void {
    const session = this.#hub.open(variant, grpcTransport(call));
    call.on("data", (bytes: Buffer) => session.receive(() => read(bytes)));
    call.on("end", () => session.end());
    call.on("cancelled", () => session.end());
  }
}
