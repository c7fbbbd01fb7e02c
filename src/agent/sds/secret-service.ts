import { once } from "node:events";
import { type Server, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { sdsService } from "#proto/ads.ts";
import type { ProxyService } from "../proxy-socket.ts";
import type { Variant } from "../wire.ts";
import { newSecretStream, type SecretStream, type Secrets } from "./secret-stream.ts";

type Call = ServerDuplexStream<Buffer, Buffer>;

/** What one proxy is served. */
export interface SecretServiceOptions {
  /** Its secrets as they are now. */
  readonly secrets: () => Secrets;
  /** Called when the proxy may have acknowledged something, or wants something else. */
  readonly answered?: () => void;
  readonly logger: Logger;
}

/**
 * Serves one proxy its secrets by `envoy.service.secret.v3.SecretDiscoveryService`, in both forms. Who comes by the proxy's socket is
 * the proxy; there is nothing on it but what is the proxy's own.
 */
export class SecretService implements ProxyService {
  readonly #options: SecretServiceOptions;
  /** Streams, with what looks again at what each is to be sent. */
  readonly #streams = new Map<SecretStream, () => Promise<void>>();

  constructor(options: SecretServiceOptions) {
    this.#options = options;
  }

  register(server: Server): void {
    server.addService(sdsService, {
      deltaSecrets: (call: Call) => void this.#serve("delta", call),
      streamSecrets: (call: Call) => void this.#serve("sotw", call),
    });
  }

  /** The secrets are others: streams are sent what they want of them. */
  changed(): void {
    for (const look of this.#streams.values()) void look();
  }

  /**
   * What the proxy has acknowledged of a secret: a version for each stream that wants it, undefined where that has none yet. Two
   * Envoys may be on one socket while one replaces the other.
   */
  acknowledged(name: string): ReadonlySet<string | undefined> {
    const wanting = [...this.#streams.keys()].filter(({ held }) => held.has(name));
    return new Set(wanting.map(({ held }) => held.get(name)));
  }

  [Symbol.dispose](): void {
    this.#streams.clear();
  }

  async #serve(variant: Variant, call: Call): Promise<void> {
    const stream = newSecretStream(variant);
    const ended = new AbortController();
    const stop = (): void => ended.abort();
    call.on("cancelled", stop);
    call.on("error", stop);
    const look = this.#sender(stream, call, ended.signal);
    this.#streams.set(stream, look);
    try {
      for await (const bytes of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        const { refusal } = stream.take(bytes);
        if (refusal !== undefined) this.#options.logger.warn("a proxy refuses its secrets", { error: refusal });
        this.#options.answered?.();
        await look();
      }
      call.end();
    } catch (error) {
      if (!call.cancelled) call.emit("error", { code: status.INVALID_ARGUMENT, details: messageOf(error) });
    } finally {
      stop();
      this.#streams.delete(stream);
      this.#options.answered?.();
    }
  }

  /** Sends what is due, no faster than the proxy takes it: what changes meanwhile is sent as it is then. */
  #sender(stream: SecretStream, call: Call, signal: AbortSignal): () => Promise<void> {
    let sending: Promise<void> | undefined;
    const send = async (): Promise<void> => {
      for (;;) {
        if (signal.aborted) return;
        const response = stream.next(this.#options.secrets());
        if (response === undefined) return;
        if (!call.write(Buffer.from(response))) await once(call, "drain", { signal }).catch(() => undefined);
      }
    };
    return async () => {
      await sending;
      sending ??= send().finally(() => (sending = undefined));
      return sending;
    };
  }
}
