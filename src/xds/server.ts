import type { Clock } from "#base/clock.ts";
import { SparingLog } from "#base/sparing-log.ts";
import { messageOf, WeftError } from "#base/errors.ts";
import type { ListenAddress } from "#grpc/listen.ts";
import { GrpcServer, type Call, type GrpcServerOptions, type Method, type Methods } from "#grpc/server.ts";
import { adsService } from "#proto/ads.ts";
import type { Admit, Gatekeeper } from "./gatekeeper.ts";
import { XdsHub, type HubOptions, type XdsFigures } from "./hub.ts";
import { Intake } from "./intake.ts";
import type { Variant } from "./message.ts";
import { unreadable } from "./misconduct.ts";
import type { DueEndpoints, ProxyFinding, ProxyStandings, ProxyStatus, ProxyStatusSource } from "./port.ts";
import { RequestReader } from "./request.ts";

/** What a server needs. */
export interface XdsServerOptions
  extends HubOptions, Pick<GrpcServerOptions, "listen" | "credentials" | "keepaliveMs" | "handshakes"> {
  /** Milliseconds over which streams are ended when the server is disposed. */
  readonly drainMs?: number;
  /** Methods of other services. */
  readonly methods?: Methods;
  /** Who may open streams; without it, whoever reaches an address. */
  readonly gatekeeper?: Gatekeeper;
}

/** A running server. Disposing drains it. */
export interface XdsServer extends AsyncDisposable, ProxyStatusSource {
  /** Where it listens, ports filled in. */
  readonly addresses: readonly ListenAddress[];
  /** Whether proxies are still to be told of what changed. */
  readonly busy: boolean;
  /** What it did and holds. */
  figures(): XdsFigures;
  /** Has so many proxies connect anew, which lets them find another replica. */
  move(count: number): void;
}

/**
 * Serves ADS (`envoy.service.discovery.v3.AggregatedDiscoveryService`), delta and state-of-the-world, from a source.
 * @throws WeftError when an address cannot be listened on.
 */
export async function createXdsServer(options: XdsServerOptions): Promise<XdsServer> {
  const server = new AdsServer(options);
  try {
    await server.listen();
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
  readonly #options: XdsServerOptions;
  readonly #clock: Clock;
  readonly #refusals: SparingLog;
  readonly #drainMs: number;
  #server: GrpcServer | undefined;
  #disposed: Promise<void> | undefined;

  constructor(options: XdsServerOptions) {
    const { drainMs = 1000, clock } = options;
    this.#hub = new XdsHub(options);
    this.#reader = new RequestReader(this.#hub.limits);
    this.#intake = new Intake(this.#hub.limits.partialBytes);
    this.#options = options;
    this.#clock = clock;
    this.#refusals = new SparingLog(options.logger, clock);
    this.#drainMs = drainMs;
  }

  get addresses(): readonly ListenAddress[] {
    return this.#server?.addresses ?? [];
  }

  async listen(): Promise<void> {
    const { streamsPerConnection: maxConcurrentStreams } = this.#hub.limits;
    const ads = Object.entries(variants).map(([path, variant]): [string, Method] => [
      path,
      (call) => void this.#accept(variant, call),
    ]);
    const methods = { ...this.#options.methods, ...Object.fromEntries(ads) };
    this.#server = await GrpcServer.listen({ ...this.#options, methods, maxConcurrentStreams });
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

  connected(node: string): boolean {
    return this.#hub.connected(node);
  }

  endpoints(node: string): DueEndpoints | undefined {
    return this.#hub.endpoints(node);
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

  move(count: number): void {
    this.#hub.move(count);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    this.#server?.close();
    const streams = this.#hub.figures().streams;
    await this.#hub.drain(this.#drainMs);
    if (streams > 0) await this.#clock.sleep(lastWordsMs);
    this.#server?.[Symbol.dispose]();
    this.#hub[Symbol.dispose]();
  }

  #open(variant: Variant, { stream: transport, address }: Call, admit?: Admit): void {
    const session = this.#hub.open(variant, transport, admit, address);
    transport.follow(this.#hub.limits.requestBytes, {
      message: (bytes) => session.receive(() => this.#reader[variant](bytes), bytes.length),
      held: (bytes) => this.#intake.holds(session, bytes),
      end: (reason) => {
        this.#intake.holds(session, 0);
        session.end(reason && unreadable(reason));
      },
    });
  }

  /** With a gatekeeper nothing is read before it is known who calls. */
  async #accept(variant: Variant, call: Call): Promise<void> {
    const { gatekeeper } = this.#options;
    if (!gatekeeper) {
      this.#open(variant, call);
      return;
    }
    try {
      this.#open(variant, call, await gatekeeper.callerOf(call));
    } catch (fault) {
      const reason = fault instanceof WeftError ? fault : new WeftError("Internal", "the caller is not known", fault);
      const fields = { from: call.from, code: reason.code, reason: messageOf(reason) };
      this.#refusals.say("warn", "an xDS stream was refused", fields);
      call.stream.end(reason);
    }
  }
}
