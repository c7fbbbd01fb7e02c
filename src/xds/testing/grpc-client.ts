import { connect, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from "node:http2";
import { createConnection, isIP } from "node:net";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  type ChannelOptions,
  credentials,
  makeClientConstructor,
  type ClientDuplexStream,
  type ServiceError,
  Metadata,
} from "@grpc/grpc-js";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryResponse,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { frameHead } from "#grpc/frames.ts";
import type { ListenAddress } from "#grpc/listen.ts";
import { adsService } from "#proto/ads.ts";

const AdsClient = makeClientConstructor(adsService, "ads");

/** The address as gRPC's clients write it. */
function targetOf(address: ListenAddress): string {
  if ("socketPath" in address) return `unix:${address.socketPath}`;
  return `${isIP(address.host) === 6 ? `[${address.host}]` : address.host}:${address.port}`;
}

/** A request as a test writes it. */
export type DeltaRequest = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;

function encoded(request: DeltaRequest): Buffer {
  return Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
}

/** A stream over plain HTTP/2, of the delta variant unless its headers say otherwise; for what gRPC's clients never do. */
export class RawStream implements Disposable {
  readonly stream: ClientHttp2Stream;
  readonly #session: ClientHttp2Session;

  constructor(socketPath: string, headers: OutgoingHttpHeaders = {}) {
    this.#session = connect("http://localhost", { createConnection: () => createConnection(socketPath) });
    this.stream = this.#session.request({
      ":method": "POST",
      ":path": adsService.deltaAggregatedResources.path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    this.stream.on("error", () => undefined);
  }

  /** Whether the peer closed the stream. */
  get closed(): boolean {
    return this.stream.closed;
  }

  ask(request: DeltaRequest): void {
    const bytes = encoded(request);
    this.stream.write(Buffer.concat([frameHead(bytes.length), bytes]));
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

/** How a stream is secured. */
export interface DeltaStreamOptions {
  readonly channel?: ChannelCredentials;
  readonly options?: ChannelOptions;
  readonly metadata?: Metadata;
}

/** A delta stream over a real connection. */
export class DeltaStream implements Disposable {
  readonly responses: DeltaDiscoveryResponse[] = [];
  /** How the stream ended; undefined while it lasts. */
  ended: { readonly code: number; readonly details: string } | undefined;
  readonly stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #client: { close(): void };

  constructor(address: ListenAddress, { channel, metadata, options }: DeltaStreamOptions = {}) {
    const client = new AdsClient(targetOf(address), channel ?? credentials.createInsecure(), {
      ...options,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
    });
    this.#client = client;
    const open = client["deltaAggregatedResources"] as (metadata: Metadata) => ClientDuplexStream<Buffer, Buffer>;
    this.stream = open.call(client, metadata ?? new Metadata());
    this.stream.on("error", (error: ServiceError) => {
      this.ended ??= { code: error.code, details: error.details };
    });
    this.stream.on("status", (status: { code: number; details: string }) => {
      this.ended ??= { code: status.code, details: status.details };
    });
    this.stream.on("data", (bytes: Buffer) => this.responses.push(fromBinary(DeltaDiscoveryResponseSchema, bytes)));
  }

  /** Sends a request. */
  ask(request: DeltaRequest): void {
    this.stream.write(encoded(request));
  }

  [Symbol.dispose](): void {
    this.stream.on("error", () => undefined);
    this.stream.cancel();
    this.#client.close();
  }
}
