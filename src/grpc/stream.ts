import {
  constants,
  type Http2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { WeftError, messageOf, type ErrorCode } from "#base/errors.ts";
import { FrameReader } from "./frames.ts";

/** gRPC's numbers of statuses. */
const statuses: Readonly<Record<ErrorCode, number>> = {
  Cancelled: 1,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Conflict: 10,
  Gone: 11,
  Unsupported: 12,
  Internal: 13,
  Unavailable: 14,
  Unauthenticated: 16,
};

const contentType = "application/grpc";
const head = {
  [constants.HTTP2_HEADER_STATUS]: 200,
  [constants.HTTP2_HEADER_CONTENT_TYPE]: contentType,
  "grpc-accept-encoding": "identity",
};

/** Text as `grpc-message` holds it: percent-encoded beyond what ASCII can print. */
function encodedText(text: string): string {
  return text.toWellFormed().replaceAll(/[^ -$&-~]/gu, encodeURIComponent);
}

/** A status as trailers. An internal fault's details stay in the log. */
function trailersOf(reason: WeftError | undefined): OutgoingHttpHeaders {
  if (!reason) return { "grpc-status": 0 };
  const text = reason.code === "Internal" ? "internal error" : messageOf(reason);
  return { "grpc-status": statuses[reason.code], "grpc-message": encodedText(text) };
}

/** Whether headers are those of a gRPC call. */
export function isGrpc({ "content-type": type = "" }: IncomingHttpHeaders): boolean {
  return type.startsWith(contentType);
}

/** Answers a request that is none of gRPC. */
export function refuse(stream: ServerHttp2Stream): void {
  stream.respond({ [constants.HTTP2_HEADER_STATUS]: 415 }, { endStream: true });
}

/** Tells a client to make no more calls on a connection (GOAWAY), which closes when those that are have ended. */
export function dismiss(session: Http2Session): void {
  if (session.closed || session.destroyed) return;
  session.goaway(constants.NGHTTP2_NO_ERROR);
  session.close();
}

/** A message as it is sent: its bytes with the head before them, in pieces that other streams may hold too. */
export interface Framed {
  readonly pieces: readonly Uint8Array[];
}

/** Bytes up to which a copy costs less than a write of several pieces. */
const copiedBytes = 8192;

function bytesOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

/** Who is told what a peer says. */
interface Listener {
  /** Gets each message; its bytes are only lent. */
  readonly message: (bytes: Buffer) => void;
  /** Told how many bytes wait for the rest of their message. */
  readonly held: (bytes: number) => void;
  /** The peer has nothing more to say, is gone, or says what it must not. */
  readonly end: (reason?: WeftError) => void;
}

/**
 * The server's end of a gRPC stream, by gRPC over HTTP/2 (PROTOCOL-HTTP2.md) without compression and deadlines: it is
 * the client that gives up. Not by way of a gRPC library, which copies each message for each stream and queues each request
 * several times: here streams share the bytes of what they get.
 */
export class GrpcStream {
  readonly #stream: ServerHttp2Stream;
  #ended = false;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.on("error", () => undefined);
  }

  /**
   * Hands on what the peer says.
   * @param mostBytes of one message.
   */
  follow(mostBytes: number, { message, held, end }: Listener): void {
    const frames = new FrameReader(mostBytes, message);
    this.#stream.on("data", (chunk: Buffer) => {
      if (this.#ended) return;
      try {
        frames.take(chunk);
        held(frames.held);
      } catch (fault) {
        end(fault instanceof WeftError ? fault : new WeftError("Internal", "the stream failed", fault));
      }
    });
    this.#stream.on("end", () => end());
    this.#stream.on("close", () => end());
  }

  /**
   * Writes messages together. Large ones are not copied: streams share the pieces until each peer has taken them.
   * @param taken called once the peer's flow control let all of it through.
   */
  send(messages: readonly Framed[], taken: () => void): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.writableEnded) return;
    if (!stream.headersSent) stream.respond(head, { waitForTrailers: true });
    const all = messages.flatMap((message) => message.pieces);
    const pieces = all.length > 1 && bytesOf(all) <= copiedBytes ? [Buffer.concat(all)] : all;
    const last = pieces.length - 1;
    if (last > 0) stream.cork();
    for (const [at, piece] of pieces.entries()) {
      if (at < last) stream.write(piece);
      else stream.write(piece, (error) => (error ? undefined : taken()));
    }
    if (last > 0) stream.uncork();
  }

  /** Ends the stream, with a status when something is wrong. Nothing is sent afterwards. */
  end(reason?: WeftError): void {
    const stream = this.#stream;
    if (this.#ended || stream.destroyed) return;
    this.#ended = true;
    const trailers = trailersOf(reason);
    if (!stream.headersSent) {
      stream.respond({ ...head, ...trailers }, { endStream: true });
      return;
    }
    stream.once("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end();
  }

  /** Has the peer open no more calls on the stream's connection, which closes when none is left: it makes another, perhaps to another server. */
  retire(): void {
    const { session } = this.#stream;
    if (session) dismiss(session);
  }

  /** Takes nothing more from the peer, until resumed. */
  pause(): void {
    this.#stream.pause();
  }

  /** Goes on taking what the peer says. */
  resume(): void {
    this.#stream.resume();
  }

  /** Ends the stream at once, with what was sent and not taken. */
  abort(): void {
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}
