import { create, toBinary } from "@bufbuild/protobuf";
import { typeUrls } from "#proto/encoded.ts";
import { NodeSchema } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import { AdsStream } from "./ads-stream.ts";
import { encodeAsk, type Ask, type Response, type Scanner, type Variant } from "./xds-wire.ts";

/** Envoy's own default window of a stream. */
const windowBytes = 16 * 1024 * 1024;

/** Responses kept as they came before they are put together. */
const newsKept = 1000;

/** Counts of all clients of a process. */
export interface Counts {
  bytes: number;
  responses: number;
  acks: number;
}

/** What a client needs. */
export interface ClientOptions {
  readonly address: string;
  readonly variant: Variant;
  /** A serialized node. */
  readonly node: Uint8Array;
  readonly scanner: Scanner;
  readonly counts: Counts;
  /** Remember versions of what is held. */
  readonly remember: boolean;
  /** Keep responses as they came. */
  readonly record: boolean;
  /** Goes on where this one ended, as an Envoy that connects again: it tells which versions it holds. Delta alone. */
  readonly after?: SimulatedProxy;
  /** Bytes of the stream's window; Envoy's own unless told. */
  readonly windowBytes?: number;
  /** Called with each response before it is taken in. */
  readonly onResponse?: (response: Response) => void;
  readonly onSynced: () => void;
  readonly onEnd: (reason: string) => void;
}

/** The node of the proxy with a number: the workload of the service with that number, as Istio's agent names it. */
export function simulatedNodeInfo(index: number, namespaces: number) {
  const namespace = `ns-${index % namespaces}`;
  const address = `10.20.${Math.floor(index / 250)}.${(index % 250) + 1}`;
  const metadata = {
    NAMESPACE: namespace,
    CLUSTER_ID: "main",
    LABELS: { app: `svc-${index}` },
    ISTIO_VERSION: "1.31.0",
    INSTANCE_IPS: address,
    NAME: `svc-${index}-0`,
    WORKLOAD_NAME: `svc-${index}`,
    GENERATOR: "",
  };
  const id = `sidecar~${address}~svc-${index}-0.${namespace}~${namespace}.svc.cluster.local`;
  return { id, cluster: `svc-${index}.${namespace}`, metadata, locality: { region: "", zone: "", subzone: "" } };
}

/** The same, serialized, of an Envoy 1.40. */
export function simulatedNode(index: number, namespaces: number): Uint8Array {
  const { id, cluster, metadata } = simulatedNodeInfo(index, namespaces);
  const version = { version: { majorNumber: 1, minorNumber: 40, patch: 0 } };
  const userAgentVersionType = { case: "userAgentBuildVersion", value: version } as const;
  return toBinary(
    NodeSchema,
    create(NodeSchema, { id, cluster, metadata, userAgentName: "envoy", userAgentVersionType }),
  );
}

const order = [typeUrls.cluster, typeUrls.endpoints, typeUrls.listener, typeUrls.route, typeUrls.virtualHost] as const;
const awaitedType: Readonly<Record<string, string>> = {
  [typeUrls.cluster]: typeUrls.endpoints,
  [typeUrls.listener]: typeUrls.route,
};

/**
 * One simulated Envoy: asks for clusters, then for the endpoints of those, then for listeners, then for the routes that
 * these name and for the virtual hosts of those; acknowledges everything.
 */
export class SimulatedProxy {
  /** Nanoseconds of the monotonic clock at which the last response came. */
  lastAt = 0n;
  /** Responses since the last mark. */
  responses = 0;
  /** Responses as they came, with their types; only where they are recorded. */
  readonly recorded: { readonly type: string; readonly bytes: Buffer }[] = [];
  readonly #held = new Map<string, Map<string, string>>(order.map((type) => [type, new Map()]));
  /** Responses that `#held` does not have yet: putting them together waits until somebody asks. */
  readonly #news: Response[] = [];
  readonly #options: ClientOptions;
  readonly #stream: AdsStream;
  readonly #asked = new Map<string, Set<string>>();
  /** Names of routes by the listeners that need them. */
  readonly #routes = new Map<string, readonly string[]>();
  /** Names that are waited for, by type. */
  readonly #missing = new Map<string, Set<string>>(order.map((type) => [type, new Set()]));
  readonly #last = new Map<string, Response>();
  #synced = false;
  #closed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    const { address, variant } = options;
    this.#stream = new AdsStream({
      address,
      variant,
      windowBytes: options.windowBytes ?? windowBytes,
      onMessage: (bytes) => this.#take(bytes),
      onEnd: (reason) => this.#ended(reason),
    });
    if (options.after) this.#goOn(options.after, options.node);
    else this.#ask({ type: typeUrls.cluster, node: options.node });
  }

  /** Reads nothing more, and so acknowledges nothing. */
  stall(): void {
    this.#stream.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#stream.resume();
  }

  /** Asks for everything that another one held, and tells which versions these are. */
  #goOn(before: SimulatedProxy, node: Uint8Array): void {
    this.#synced = true;
    for (const type of order) {
      const versions = before.held.get(type) ?? new Map<string, string>();
      this.#held.set(type, new Map(versions));
      const names = before.#asked.get(type) ?? new Set();
      this.#asked.set(type, new Set(names));
      this.#ask({ type, names: [...names], versions, ...(type === typeUrls.cluster && { node }) });
    }
  }

  /** Versions of the resources held, by type and name; empty unless they are remembered. */
  get held(): ReadonlyMap<string, ReadonlyMap<string, string>> {
    for (const response of this.#news.splice(0)) this.#hold(response);
    return this.#held;
  }

  /** Ends the stream. */
  close(): void {
    this.#closed = true;
    this.#stream.close();
  }

  #ended(reason: string): void {
    if (!this.#closed) this.#options.onEnd(reason);
    this.#closed = true;
  }

  #take(bytes: Buffer): void {
    const { counts, scanner, remember, record, variant } = this.#options;
    this.lastAt = process.hrtime.bigint();
    this.responses += 1;
    counts.bytes += bytes.length;
    counts.responses += 1;
    const response = scanner.scan(bytes);
    this.#last.set(response.type, response);
    this.#options.onResponse?.(response);
    if (remember && this.#news.push(response) > newsKept) void this.held;
    if (record) this.recorded.push({ type: response.type, bytes: Buffer.from(bytes) });
    const waited = this.#waits();
    this.#arrived(response);
    this.#release(response);
    const awaited = awaitedType[response.type];
    if (awaited) this.#subscribe(awaited, response.awaits);
    if (response.type === typeUrls.route) this.#awaitHosts(response.awaits);
    counts.acks += 1;
    if (variant === "delta") this.#stream.write(scanner.acknowledgement(response));
    else {
      const { type, nonce, version } = response;
      this.#ask({ type, nonce, version, names: [...(this.#asked.get(type) ?? [])] });
    }
    if (!this.#waits() && (waited || awaited)) this.#proceed();
  }

  #waits(): boolean {
    for (const { size } of this.#missing.values()) if (size > 0) return true;
    return false;
  }

  /** What came, or is not there, is no longer waited for; of virtual hosts one is enough for each configuration. */
  #arrived({ type, resources, removed }: Response): void {
    const missing = this.#missing.get(type);
    const apart = type === typeUrls.virtualHost;
    for (const { name } of resources) {
      if (!missing?.size) return;
      missing.delete(apart ? name.slice(0, name.lastIndexOf("/") + 1) : name);
    }
    for (const name of removed) missing?.delete(name);
  }

  /** Everything that was asked for is there: on to listeners, or done. */
  #proceed(): void {
    if (!this.#asked.has(typeUrls.listener)) {
      this.#asked.set(typeUrls.listener, new Set());
      this.#ask({ type: typeUrls.listener });
    } else if (!this.#synced && this.#last.has(typeUrls.listener)) {
      this.#synced = true;
      this.#options.onSynced();
    }
  }

  #subscribe(type: string, awaits: readonly string[]): void {
    const asked = this.#asked.get(type) ?? new Set<string>();
    // The list that many have in common is passed on as it is: it is encoded once.
    const names = asked.size === 0 ? awaits : awaits.filter((name) => !asked.has(name));
    if (names.length === 0) return;
    this.#asked.set(type, asked);
    const missing = this.#missing.get(type);
    for (const name of names) {
      asked.add(name);
      missing?.add(name);
    }
    const last = this.#last.get(type);
    if (this.#options.variant === "delta") this.#stream.write(this.#options.scanner.subscription(type, names));
    else this.#ask({ type, names: [...asked], nonce: last?.nonce ?? "", version: last?.version ?? "" });
  }

  /** Gives back what nothing needs any more: endpoints of clusters that are gone, routes that no listener names. */
  #release({ type, resources, removed }: Response): void {
    if (this.#options.variant === "sotw") return;
    // An endpoint set has the name of its cluster.
    if (type === typeUrls.cluster) this.#unsubscribe(typeUrls.endpoints, removed);
    if (type !== typeUrls.listener) return;
    for (const { name, awaits } of resources) this.#routes.set(name, awaits);
    for (const name of removed) this.#routes.delete(name);
    const needed = new Set([...this.#routes.values()].flat());
    const asked = [...(this.#asked.get(typeUrls.route) ?? [])];
    this.#unsubscribe(
      typeUrls.route,
      asked.filter((name) => !needed.has(name)),
    );
  }

  #unsubscribe(type: string, names: readonly string[]): void {
    const asked = this.#asked.get(type);
    const gone = names.filter((name) => asked?.delete(name));
    if (gone.length === 0) return;
    for (const name of gone) this.#missing.get(type)?.delete(name);
    if (this.#options.remember) {
      this.#news.push({ type, version: "", nonce: "", resources: [], awaits: [], removed: gone });
    }
    // State of the world has no way to say it.
    this.#stream.write(this.#options.scanner.unsubscription(type, gone));
  }

  /** Virtual hosts are asked for once, all of them; each route configuration waits for its own. */
  #awaitHosts(prefixes: readonly string[]): void {
    for (const prefix of prefixes) this.#missing.get(typeUrls.virtualHost)?.add(prefix);
    if (prefixes.length === 0 || this.#asked.has(typeUrls.virtualHost)) return;
    this.#asked.set(typeUrls.virtualHost, new Set());
    this.#ask({ type: typeUrls.virtualHost });
  }

  #hold(response: Response): void {
    const held = this.#held.get(response.type);
    for (const { name, version } of response.resources) held?.set(name, version);
    for (const name of response.removed) held?.delete(name);
    if (response.type !== typeUrls.route || response.removed.length === 0) return;
    // Virtual hosts go with their configuration.
    const hosts = this.#held.get(typeUrls.virtualHost);
    for (const host of hosts?.keys() ?? []) {
      if (response.removed.includes(host.slice(0, host.lastIndexOf("/")))) hosts?.delete(host);
    }
  }

  #ask(ask: Ask): void {
    this.#stream.write(encodeAsk(this.#options.variant, ask));
  }
}
