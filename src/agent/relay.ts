import { once } from "node:events";
import { fromBinary } from "@bufbuild/protobuf";
import { type ClientDuplexStream, type Metadata, type Server, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { adsService } from "#proto/ads.ts";
import { type NameTable, NameTableSchema } from "#proto/gen/istio/networking/nds/v1/nds_pb.js";
import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import type { ControlPlane, ControlPlaneConnection } from "./control-plane.ts";
import type { ProxyService } from "./proxy-socket.ts";
import { type ProxySettings, readSettings } from "./proxy-settings.ts";
import { ownRequest, readOwn, requestIdentity, responseType, sayingMore } from "./wire.ts";
import type { ProxyIdentity, Variant } from "./wire.ts";

/** One proxy's way to the control plane. */
export interface RelayOptions {
  /** Who the proxy must say that it is: the socket is its identity. */
  readonly identity: ProxyIdentity;
  /** Where the control plane serves xDS. */
  readonly upstream: ControlPlane;
  /** Called with each name table that the control plane sends. */
  readonly onNames: (table: NameTable) => void;
  /** Called with what the control plane says of how the proxy is started; without it nobody asks. */
  readonly onSettings?: (settings: ProxySettings) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

const methods = {
  delta: adsService.deltaAggregatedResources,
  sotw: adsService.streamAggregatedResources,
} as const satisfies Readonly<Record<Variant, unknown>>;

const unchanged = (bytes: Buffer): Buffer => bytes;

type Downstream = ServerDuplexStream<Buffer, Buffer>;
type Upstream = ClientDuplexStream<Buffer, Buffer>;

/** Writes, and waits while the other side does not take it. */
async function write(stream: Downstream | Upstream, bytes: Buffer, signal: AbortSignal): Promise<void> {
  if (!stream.write(bytes)) await once(stream, "drain", { signal });
}

/**
 * Relays one proxy's ADS streams to the control plane, bytes as they are, one stream for each; no faster in either direction
 * than its receiver takes them. Beside the proxy's own subscriptions it asks for the name table and for how the proxy is
 * started, and keeps them to itself, as Istio's agent does. While the control plane is away, the proxy's streams end, so that the proxy tries again by itself.
 */
export class Relay implements ProxyService {
  readonly #options: RelayOptions;
  #upstream: ControlPlane;
  #connection: ControlPlaneConnection;
  /** What is said of the proxy beside what it says itself: metadata of its node. */
  #more: Readonly<Record<string, string>> = {};
  /** Ends of the streams that are open. */
  readonly #ends = new Set<() => void>();

  /** What is done with types that the agent asks for beside the proxy, and keeps to itself. */
  readonly #own = new Map<TypeUrl, (value: Uint8Array) => void>();

  constructor(options: RelayOptions) {
    this.#options = options;
    const { onNames, onSettings } = options;
    this.#own.set(typeUrls.nameTable, (value) => onNames(fromBinary(NameTableSchema, value)));
    if (onSettings) this.#own.set(typeUrls.bootstrap, (value) => onSettings(readSettings(value)));
    this.#upstream = options.upstream;
    this.#connection = options.upstream.connect();
  }

  /** Has more said of the proxy to the control plane from now on: its streams end, and it opens others at once. */
  say(more: Readonly<Record<string, string>>): void {
    if (equal(more, this.#more)) return;
    this.#more = more;
    for (const end of this.#ends) end();
  }

  /**
   * Leads to another control plane: the proxy's streams end, as they do when a replica ends, and it comes anew with what it holds.
   */
  move(upstream: ControlPlane): void {
    const before = this.#connection;
    this.#upstream = upstream;
    this.#connection = upstream.connect();
    for (const end of this.#ends) end();
    before[Symbol.dispose]();
  }

  /** Makes another connection: the control plane does not answer on this one, and the proxy's streams end. */
  lost(): void {
    this.#connection.renew();
    for (const end of this.#ends) end();
  }

  register(server: Server): void {
    server.addService(adsService, {
      deltaAggregatedResources: (call: Downstream) => void this.#serve("delta", call),
      streamAggregatedResources: (call: Downstream) => void this.#serve("sotw", call),
    });
  }

  /** Opens a stream of another method beside the proxy's, on their connection. @throws WeftError `Unavailable` when there is no way. */
  open(path: string): Upstream {
    return this.#connection.client.makeBidiStreamRequest(path, unchanged, unchanged, this.#metadata());
  }

  /** The connection that the proxy's next stream is on. @throws WeftError `Unavailable` when there is no way. */
  get connection(): object {
    return this.#connection.client;
  }

  /** Closes the way to the control plane. */
  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }

  async #serve(variant: Variant, call: Downstream): Promise<void> {
    const ended = new AbortController();
    const { signal } = ended;
    const { promise: renewed, resolve: renew } = Promise.withResolvers<void>();
    this.#ends.add(renew);
    const stop = (): void => ended.abort();
    call.on("cancelled", stop);
    call.on("error", stop);
    // What befell the control plane's stream says more than that writing to it was given up.
    const fail = (error: Error): void => ended.abort(error);
    let upstream: Upstream | undefined;
    const connection = this.#connection;
    try {
      await connection.attempt(this.#options.clock);
      if (call.cancelled) return;
      upstream = this.#open(variant);
      upstream.on("error", fail);
      await Promise.race([
        this.#up(variant, call, upstream, signal),
        this.#down(variant, call, upstream, signal),
        renewed,
      ]);
      call.end();
    } catch (error) {
      if (!call.cancelled) this.#end(call, signal.aborted ? signal.reason : error);
    } finally {
      stop();
      this.#ends.delete(renew);
      upstream?.cancel();
      // The control plane ended it, not the proxy: there may be another that serves it.
      if (!call.cancelled && connection === this.#connection) connection.renew();
    }
  }

  #open(variant: Variant): Upstream {
    const { path, requestSerialize, responseDeserialize } = methods[variant];
    return this.#connection.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.#metadata());
  }

  #metadata(): Metadata {
    const metadata = this.#upstream.metadata();
    metadata.set("clusterid", this.#options.identity.cluster);
    return metadata;
  }

  #end(call: Downstream, error: unknown): void {
    const refused = error instanceof WeftError && error.code === "PermissionDenied";
    if (refused) this.#options.logger.warn("a proxy was refused", { error: messageOf(error) });
    else this.#upstream.failed(error);
    const code = refused ? status.PERMISSION_DENIED : status.UNAVAILABLE;
    call.emit("error", { code, details: messageOf(error) });
  }

  /** From the proxy to the control plane. */
  async #up(variant: Variant, call: Downstream, upstream: Upstream, signal: AbortSignal): Promise<void> {
    let first = true;
    // Leaving the loop must not destroy the stream: its status is yet to be sent.
    for await (const bytes of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (first) {
        const { identity } = this.#options;
        const { id = "", namespace = identity.namespace, cluster = identity.cluster } = requestIdentity(variant, bytes);
        if (id !== identity.id || namespace !== identity.namespace || cluster !== identity.cluster) {
          const claim = `"${id}" of namespace ${namespace} and cluster ${cluster}`;
          throw new WeftError("PermissionDenied", `this socket is for ${identity.id}, not for ${claim}`);
        }
      }
      const more = first && Object.keys(this.#more).length > 0;
      await write(upstream, more ? Buffer.from(sayingMore(variant, bytes, this.#more)) : bytes, signal);
      // The control plane must know the node before anything else is asked for it.
      if (first)
        for (const type of this.#own.keys()) await write(upstream, Buffer.from(ownRequest(variant, type)), signal);
      first = false;
    }
    upstream.end();
  }

  /** From the control plane to the proxy. */
  async #down(variant: Variant, call: Downstream, upstream: Upstream, signal: AbortSignal): Promise<void> {
    for await (const bytes of upstream as AsyncIterable<Buffer>) {
      this.#upstream.answered();
      const type = responseType(bytes) as TypeUrl;
      const take = this.#own.get(type);
      if (take === undefined) {
        await write(call, bytes, signal);
        continue;
      }
      const { value, acknowledgement } = readOwn(variant, type, bytes);
      if (value !== undefined) take(value);
      await write(upstream, Buffer.from(acknowledgement), signal);
    }
  }
}
