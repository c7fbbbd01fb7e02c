import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Engine } from "#incremental/engine.ts";
import { SendBudget } from "./budget.ts";
import { ProxyClasses } from "./classes.ts";
import { defaultLimits, type XdsLimits } from "./limits.ts";
import { listenOn, type ListenAddress } from "./listen.ts";
import { Encoder, type Variant } from "./message.ts";
import type { ProxyStatus, ProxyStatusSource, ResourceSource } from "./port.ts";
import { Pushes } from "./pushes.ts";
import { readDelta, readSotw, type Request } from "./request.ts";
import { BatchSchedule, TurnQueue, type BatchOptions } from "./schedule.ts";
import { adsService, grpcTransport } from "./service.ts";
import { Session, type SessionContext, type Transport } from "./session.ts";
import { StatusFeed } from "./status.ts";
import { ScopeStore } from "./store.ts";
import type { View } from "./view.ts";

/** What a server needs. */
export interface XdsServerOptions {
  readonly source: ResourceSource;
  /** The engine of the source's queries. */
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Unix sockets and loopback addresses. */
  readonly listen: readonly ListenAddress[];
  readonly limits?: Partial<XdsLimits>;
  readonly batch?: Partial<BatchOptions>;
  /** Milliseconds over which streams are ended when the server is disposed. */
  readonly drainMs?: number;
  /** Milliseconds between pings to a silent connection. */
  readonly keepaliveMs?: number;
}

/** Figures of what the server did and holds. */
export interface XdsFigures {
  readonly streams: number;
  readonly scopes: number;
  readonly views: number;
  /** Responses encoded: each is shared by all streams at the same point. */
  readonly messagesEncoded: number;
  readonly bytesEncoded: number;
  readonly messagesSent: number;
  readonly bytesSent: number;
  /** Bytes that peers have not taken yet. */
  readonly bytesUnsent: number;
}

/** A running server. Disposing drains it. */
export interface XdsServer extends AsyncDisposable, ProxyStatusSource {
  /** Where it listens, ports filled in. */
  readonly addresses: readonly ListenAddress[];
  figures(): XdsFigures;
}

const defaultBatch: BatchOptions = { quietMs: 20, longestMs: 200 };

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

class AdsServer implements XdsServer {
  readonly #options: XdsServerOptions;
  readonly #limits: XdsLimits;
  readonly #server: Server;
  readonly #sessions = new Set<Session>();
  readonly #store: ScopeStore;
  readonly #encoder: Encoder;
  readonly #classes: ProxyClasses;
  readonly #budget: SendBudget;
  readonly #turns: TurnQueue<Session>;
  readonly #batches: BatchSchedule;
  readonly #dirty = new Set<View>();
  readonly #feed: StatusFeed;
  readonly #context: SessionContext;
  #addresses: readonly ListenAddress[] = [];
  #messagesSent = 0;
  #bytesSent = 0;
  #closing = false;

  constructor(options: XdsServerOptions) {
    const { engine, source, logger, clock } = options;
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    const monotonic = (): number => clock.monotonic();
    this.#turns = new TurnQueue((session: Session) => session.pump(), monotonic);
    this.#batches = new BatchSchedule({ ...defaultBatch, ...options.batch }, clock, () => this.#flush());
    this.#store = new ScopeStore({ engine, source, logger, changed: (views) => this.#changed(views) });
    this.#classes = new ProxyClasses(engine, source, logger);
    this.#encoder = new Encoder(new Date(clock.now()).toISOString());
    this.#budget = new SendBudget(this.#limits, clock);
    this.#feed = new StatusFeed(clock);
    this.#context = this.#sessionContext();
    this.#server = this.#grpcServer();
  }

  get addresses(): readonly ListenAddress[] {
    return this.#addresses;
  }

  async listen(addresses: readonly ListenAddress[]): Promise<void> {
    for (const address of addresses) this.#addresses = [...this.#addresses, await listenOn(this.#server, address)];
  }

  proxies(): readonly ProxyStatus[] {
    const byId = new Map<string, ProxyStatus>();
    for (const session of this.#sessions) {
      const status = session.status();
      if (status) byId.set(status.node.id, status);
    }
    return [...byId.values()].toSorted((a, b) => (a.node.id < b.node.id ? -1 : 1));
  }

  onChange(callback: () => void): Disposable {
    return this.#feed.onChange(callback);
  }

  figures(): XdsFigures {
    const { scopes, views } = this.#store.size;
    const { messages, bytes } = this.#encoder.encoded;
    return {
      streams: this.#sessions.size,
      scopes,
      views,
      messagesEncoded: messages,
      bytesEncoded: bytes,
      messagesSent: this.#messagesSent,
      bytesSent: this.#bytesSent,
      bytesUnsent: this.#budget.unsent,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const address of this.#addresses) this.#server.unbind(targetOf(address));
    await this.#drain();
    this.#server.forceShutdown();
    for (const part of [this.#batches, this.#budget, this.#classes, this.#store, this.#feed]) part[Symbol.dispose]();
  }

  /** Ends the streams spread over time, so that the proxies do not all connect elsewhere at once. */
  async #drain(): Promise<void> {
    const { clock, drainMs = 1000 } = this.#options;
    const started = clock.monotonic();
    const sessions = [...this.#sessions];
    for (const [at, session] of sessions.entries()) {
      const wait = (drainMs * at) / sessions.length - (clock.monotonic() - started);
      if (wait > 5) await clock.sleep(wait);
      session.end();
    }
    // A moment for the last status to leave.
    if (sessions.length > 0) await clock.sleep(20);
  }

  #grpcServer(): Server {
    const { keepaliveMs = 30_000 } = this.#options;
    const server = new Server({
      "grpc.max_receive_message_length": this.#limits.requestBytes,
      "grpc.max_send_message_length": -1,
      "grpc.max_concurrent_streams": this.#limits.streamsPerConnection,
      "grpc.keepalive_time_ms": keepaliveMs,
      "grpc.keepalive_timeout_ms": Math.min(10_000, keepaliveMs),
    });
    server.addService(adsService, {
      deltaAggregatedResources: (call: Call) => this.#accept("delta", call, readDelta),
      streamAggregatedResources: (call: Call) => this.#accept("sotw", call, readSotw),
    });
    return server;
  }

  #accept(variant: Variant, call: Call, read: (bytes: Buffer) => Request): void {
    const transport = this.#counted(grpcTransport(call));
    if (this.#closing) {
      transport.end(new WeftError("Unavailable", "the server is shutting down"));
      return;
    }
    const session = new Session(variant, transport, this.#context);
    this.#sessions.add(session);
    call.on("data", (bytes: Buffer) => session.receive(() => read(bytes)));
    call.on("end", () => session.end());
    call.on("cancelled", () => session.end());
  }

  #counted(transport: Transport): Transport {
    return {
      send: (bytes, taken) => {
        this.#messagesSent += 1;
        this.#bytesSent += bytes.length;
        transport.send(bytes, taken);
      },
      end: (reason) => transport.end(reason),
    };
  }

  #sessionContext(): SessionContext {
    const { clock, logger } = this.#options;
    return {
      pushes: new Pushes(this.#store, this.#encoder),
      clock,
      logger,
      limits: this.#limits,
      budget: this.#budget,
      join: (session, node) => this.#classes.join(session, node),
      due: (session) => this.#turns.add(session),
      changed: () => this.#feed.changed(),
      left: (session) => {
        this.#sessions.delete(session);
        this.#turns.remove(session);
        this.#classes.leave(session);
        this.#feed.changed();
      },
    };
  }

  #changed(views: readonly View[]): void {
    for (const view of views) this.#dirty.add(view);
    this.#batches.changed();
  }

  #flush(): void {
    for (const view of this.#dirty) for (const user of view.users) user.due();
    this.#dirty.clear();
  }
}

type Call = ServerDuplexStream<Buffer, Buffer>;

function targetOf(address: ListenAddress): string {
  return "socketPath" in address ? `unix:${address.socketPath}` : `${address.host}:${address.port}`;
}
