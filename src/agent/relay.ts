import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Client, Metadata, Server, ServerCredentials, credentials, status } from "@grpc/grpc-js";
import type { ClientDuplexStream, ServerDuplexStream } from "@grpc/grpc-js";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { adsService } from "#proto/ads.ts";
import { fromBinary } from "@bufbuild/protobuf";
import { type NameTable, NameTableSchema } from "#proto/gen/istio/networking/nds/v1/nds_pb.js";
import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import { type ProxySettings, readSettings } from "./proxy-settings.ts";
import { ownRequest, readOwn, requestIdentity, responseType } from "./wire.ts";
import type { ProxyIdentity, Variant } from "./wire.ts";

/** One proxy's way to the control plane. */
export interface RelayOptions {
  /** Unix socket that the proxy connects to; its folder is made for it alone. */
  readonly socket: string;
  /** The proxy's user and group. */
  readonly uid: number;
  /** Who the proxy must say that it is: the socket is its identity. */
  readonly identity: ProxyIdentity;
  /** Where the control plane serves xDS, as gRPC writes addresses. */
  readonly upstream: string;
  /** Called with each name table that the control plane sends. */
  readonly onNames: (table: NameTable) => void;
  /** Called with what the control plane says of how the proxy is started; without it nobody asks. */
  readonly onSettings?: (settings: ProxySettings) => void;
  readonly logger: Logger;
}

const methods = {
  delta: adsService.deltaAggregatedResources,
  sotw: adsService.streamAggregatedResources,
} as const satisfies Readonly<Record<Variant, unknown>>;

/** Resources of a large mesh come as one message. */
const anySize = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

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
export class Relay implements AsyncDisposable {
  readonly #options: RelayOptions;
  readonly #server = new Server(anySize);
  // A connection of its own: a proxy that takes nothing must not hold up others.
  readonly #client: Client;

  /** What is done with types that the agent asks for beside the proxy, and keeps to itself. */
  readonly #own = new Map<TypeUrl, (value: Uint8Array) => void>();

  private constructor(options: RelayOptions) {
    this.#options = options;
    const { onNames, onSettings } = options;
    this.#own.set(typeUrls.nameTable, (value) => onNames(fromBinary(NameTableSchema, value)));
    if (onSettings) this.#own.set(typeUrls.bootstrap, (value) => onSettings(readSettings(value)));
    this.#client = new Client(options.upstream, credentials.createInsecure(), {
      ...anySize,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
    });
    this.#server.addService(adsService, {
      deltaAggregatedResources: (call: Downstream) => void this.#serve("delta", call),
      streamAggregatedResources: (call: Downstream) => void this.#serve("sotw", call),
    });
  }

  /**
   * Opens the proxy's socket; one that an earlier agent left is replaced.
   * @throws WeftError `Unavailable` when it cannot be opened.
   */
  static async open(options: RelayOptions): Promise<Relay> {
    const relay = new Relay(options);
    const { socket, uid } = options;
    const folder = dirname(socket);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
    chownSync(folder, uid, uid);
    rmSync(socket, { force: true });
    await new Promise<void>((resolve, reject) => {
      relay.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(new WeftError("Unavailable", `the proxy's socket ${socket} could not be opened`, error));
      });
    });
    chownSync(socket, uid, uid);
    return relay;
  }

  /** Ends all streams and closes the socket. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    this.#client.close();
    return Promise.resolve();
  }

  async #serve(variant: Variant, call: Downstream): Promise<void> {
    const ended = new AbortController();
    const { signal } = ended;
    const { path, requestSerialize, responseDeserialize } = methods[variant];
    const upstream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata());
    const stop = (): void => ended.abort();
    call.on("cancelled", stop);
    call.on("error", stop);
    upstream.on("error", stop);
    try {
      await Promise.race([this.#up(variant, call, upstream, signal), this.#down(variant, call, upstream, signal)]);
      call.end();
    } catch (error) {
      if (!call.cancelled) this.#end(call, error);
    } finally {
      stop();
      upstream.cancel();
    }
  }

  #end(call: Downstream, error: unknown): void {
    const refused = error instanceof WeftError && error.code === "PermissionDenied";
    if (refused) this.#options.logger.warn("a proxy was refused", { error: messageOf(error) });
    else this.#options.logger.debug("an xDS stream ended", { error: messageOf(error) });
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
      await write(upstream, bytes, signal);
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
