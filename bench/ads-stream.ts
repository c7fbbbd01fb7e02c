import { connect, type Socket } from "node:net";
import { FrameReader, frameHead } from "#grpc/frames.ts";
import { firstWindowBytes, flags, frame, frameHeadBytes, frameTypes, grpcHeaders } from "./http2-frames.ts";
import { mostFrameBytes, settings, settingsFrame, windowUpdate } from "./http2-frames.ts";
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
  /** The bytes are only lent. */
  readonly onMessage: (bytes: Buffer) => void;
  /** Called once, with why it is over. */
  readonly onEnd: (reason: string) => void;
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const stream = 1;
const none = Buffer.alloc(0);
/** What is read at a time, by all streams in turn: each having bytes of its own would be much of what they cost. */
const room = Buffer.allocUnsafeSlow(65_536);

/**
 * A gRPC stream of ADS with a connection of its own, as Envoy has it, straight on its socket: Node's HTTP/2 would take as
 * much of the machine for a thousand clients as the server that is measured.
 */
export class AdsStream {
  readonly #options: AdsStreamOptions;
  readonly #socket: Socket;
  readonly #messages: FrameReader;
  /** The part of a frame that has come. */
  #part: Buffer = none;
  /** What is written leaves together. */
  #writing: Buffer[] = [];
  /** Bytes that the server takes now, on the connection and on the stream, and what waits for it to take more. */
  readonly #room = { connection: firstWindowBytes, stream: firstWindowBytes };
  #streamWindow = firstWindowBytes;
  readonly #waiting: Buffer[] = [];
  /** Bytes that were taken and that the server does not know of. */
  #taken = 0;
  /** What came while nothing is read. */
  #unread: Buffer[] | undefined;
  #over = false;

  constructor(options: AdsStreamOptions) {
    const { address, variant, windowBytes, onMessage } = options;
    this.#options = options;
    this.#messages = new FrameReader(Number.POSITIVE_INFINITY, onMessage);
    const { hostname, port } = new URL(`http://${address}`);
    const onread = { buffer: room, callback: (length: number) => this.#read(room.subarray(0, length)) };
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true, onread });
    this.#socket.on("error", (error) => this.#end(error.message));
    this.#socket.on("close", () => this.#end("the server closed the connection"));
    this.#put(Buffer.from(preface));
    this.#put(settingsFrame({ [settings.enablePush]: 0, [settings.initialWindowSize]: windowBytes }));
    if (windowBytes > firstWindowBytes) this.#put(windowUpdate(0, windowBytes - firstWindowBytes));
    this.#put(frame(frameTypes.headers, flags.endHeaders, stream, grpcHeaders(address, paths[variant])));
  }

  write(message: Buffer): void {
    if (this.#over) return;
    const bytes = Buffer.concat([frameHead(message.length), message]);
    for (let at = 0; at < bytes.length; at += mostFrameBytes)
      this.#waiting.push(bytes.subarray(at, at + mostFrameBytes));
    this.#drain();
  }

  /** Reads nothing more of the stream. */
  pause(): void {
    this.#unread ??= [];
  }

  /** Reads again. */
  resume(): void {
    const unread = this.#unread ?? [];
    this.#unread = undefined;
    for (const data of unread) this.#data(data);
  }

  /** Ends it and its connection. */
  close(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.close();
    this.#options.onEnd(reason);
  }

  #put(bytes: Buffer): void {
    if (this.#writing.push(bytes) > 1) return;
    queueMicrotask(() => {
      const bytes = this.#writing;
      this.#writing = [];
      if (!this.#over) this.#socket.write(bytes.length === 1 ? (bytes[0] ?? none) : Buffer.concat(bytes));
    });
  }

  /** Sends what waits, as far as the server takes it. */
  #drain(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (Math.min(this.#room.connection, this.#room.stream) < next.length) return;
      this.#waiting.shift();
      this.#room.connection -= next.length;
      this.#room.stream -= next.length;
      this.#put(frame(frameTypes.data, 0, stream, next));
    }
  }

  #read(chunk: Buffer): true {
    const bytes = this.#part.length > 0 ? Buffer.concat([this.#part, chunk]) : chunk;
    let at = 0;
    while (!this.#over && bytes.length - at >= frameHeadBytes) {
      const end = at + frameHeadBytes + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.#frame(
        bytes.readUInt8(at + 3),
        bytes.readUInt8(at + 4),
        bytes.subarray(at + frameHeadBytes, end),
        bytes.readUInt32BE(at + 5),
      );
      at = end;
    }
    this.#part = at < bytes.length ? Buffer.from(bytes.subarray(at)) : none;
    return true;
  }

  #frame(type: number, flag: number, payload: Buffer, of: number): void {
    switch (type) {
      case frameTypes.data:
        if (this.#unread) this.#unread.push(Buffer.from(payload));
        else this.#data(payload);
        break;
      case frameTypes.settings:
        if ((flag & flags.ack) === 0) this.#settings(payload);
        break;
      case frameTypes.ping:
        if ((flag & flags.ack) === 0) this.#put(frame(frameTypes.ping, flags.ack, 0, payload));
        break;
      case frameTypes.windowUpdate:
        this.#room[of === 0 ? "connection" : "stream"] += payload.readUInt32BE(0);
        this.#drain();
        break;
      case frameTypes.reset:
        return this.#end(`the server reset it with ${payload.readUInt32BE(0)}`);
      case frameTypes.goAway:
        return this.#end(`the server sent it away with ${payload.readUInt32BE(4)}`);
      default:
    }
    // Trailers, or no more than a head: what they say is compressed, and stands in the server's log.
    if ((type === frameTypes.headers || type === frameTypes.data) && (flag & flags.endStream) !== 0)
      this.#end("the server ended it");
  }

  #data(payload: Buffer): void {
    this.#messages.take(payload);
    this.#taken += payload.length;
    if (this.#taken < this.#options.windowBytes / 4) return;
    this.#put(windowUpdate(0, this.#taken));
    this.#put(windowUpdate(stream, this.#taken));
    this.#taken = 0;
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== settings.initialWindowSize) continue;
      const bytes = payload.readUInt32BE(at + 2);
      this.#room.stream += bytes - this.#streamWindow;
      this.#streamWindow = bytes;
    }
    this.#put(frame(frameTypes.settings, flags.ack, 0, none));
    this.#drain();
  }
}
