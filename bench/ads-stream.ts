import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import { FrameReader, frameHead } from "#grpc/frames.ts";
import type { Variant } from "./xds-wire.ts";

const paths: Readonly<Record<Variant, string>> = {
  delta: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
  sotw: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
};

/** What a stream needs. */
export interface AdsStreamOptions {
  readonly address: string;
  readonly variant: Variant;
  /** Bytes of its window, and of its connection's. */
  readonly windowBytes: number;
  readonly onMessage: (bytes: Buffer) => void;
  /** Called once, with why it is over. */
  readonly onEnd: (reason: string) => void;
}

/**
 * A gRPC stream of ADS with a connection of its own, as Envoy has it, straight on HTTP/2: a client library would take more of
 * the machine than the server that is measured.
 */
export class AdsStream {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #onEnd: (reason: string) => void;
  #over = false;

  constructor({ address, variant, windowBytes, onMessage, onEnd }: AdsStreamOptions) {
    this.#onEnd = onEnd;
    this.#session = connect(`http://${address}`, { settings: { initialWindowSize: windowBytes, enablePush: false } });
    this.#session.on("connect", () => this.#session.setLocalWindowSize(windowBytes));
    this.#session.on("error", (error) => this.#end(error.message));
    const headers = { ":method": "POST", ":path": paths[variant], "content-type": "application/grpc", te: "trailers" };
    this.#stream = this.#session.request(headers, { endStream: false });
    const reader = new FrameReader(Number.POSITIVE_INFINITY, onMessage);
    this.#stream.on("data", (chunk: Buffer) => reader.take(chunk));
    this.#stream.on("response", (answer) => this.#told(answer));
    this.#stream.on("trailers", (trailers) => this.#told(trailers));
    this.#stream.on("error", (error) => this.#end(error.message));
    this.#stream.on("close", () => this.#end("the server ended it"));
  }

  write(message: Buffer): void {
    if (!this.#over) this.#stream.write(Buffer.concat([frameHead(message.length), message]));
  }

  /** Reads nothing more. */
  pause(): void {
    this.#stream.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#stream.resume();
  }

  /** Ends it and its connection. */
  close(): void {
    this.#over = true;
    this.#stream.close(constants.NGHTTP2_CANCEL);
    this.#session.destroy();
  }

  /** The status that gRPC ends a stream with. */
  #told(headers: IncomingHttpHeaders): void {
    const status = headers["grpc-status"];
    if (status !== undefined) this.#end(`status ${String(status)}: ${String(headers["grpc-message"] ?? "")}`);
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.close();
    this.#onEnd(reason);
  }
}
