import { constants, type ServerHttp2Stream } from "node:http2";
import { Metadata, status, type ServerDuplexStream } from "@grpc/grpc-js";
import { WeftError, messageOf, type ErrorCode } from "#base/errors.ts";
import type { Message } from "./message.ts";
import type { Transport } from "./session.ts";

const statuses: Readonly<Record<ErrorCode, status>> = {
  InvalidArgument: status.INVALID_ARGUMENT,
  Unauthenticated: status.UNAUTHENTICATED,
  PermissionDenied: status.PERMISSION_DENIED,
  NotFound: status.NOT_FOUND,
  AlreadyExists: status.ALREADY_EXISTS,
  Conflict: status.ABORTED,
  Gone: status.OUT_OF_RANGE,
  FailedPrecondition: status.FAILED_PRECONDITION,
  ResourceExhausted: status.RESOURCE_EXHAUSTED,
  Unsupported: status.UNIMPLEMENTED,
  Unavailable: status.UNAVAILABLE,
  DeadlineExceeded: status.DEADLINE_EXCEEDED,
  Cancelled: status.CANCELLED,
  Internal: status.INTERNAL,
};

/**
 * The HTTP/2 stream under a gRPC stream. gRPC has no way to end a stream whose peer takes nothing: a status waits
 * behind what was written; and it copies each message for each stream. So this reaches beneath the interface of the
 * pinned version; tests hold it to that.
 * @throws WeftError `Internal` with another version that is built otherwise.
 */
function http2StreamOf(call: ServerDuplexStream<Buffer, Buffer>): ServerHttp2Stream {
  const { stream } = (call as unknown as { readonly call?: { readonly stream?: ServerHttp2Stream } }).call ?? {};
  if (!stream) throw new WeftError("Internal", "this version of grpc-js is built otherwise than the pinned one");
  return stream;
}

/** What stands before each message of gRPC: that it is not compressed, and its length. */
function frameHead(length: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return head;
}

/**
 * Writes a message without a copy: streams share the pieces until each peer has taken them.
 * @param taken called when HTTP/2 has handed on the last byte, that is when the peer's windows were wide enough.
 */
function writeFramed(stream: ServerHttp2Stream, { pieces, length }: Message, taken: () => void): void {
  if (stream.destroyed || stream.writableEnded) return;
  stream.cork();
  stream.write(frameHead(length));
  for (const piece of pieces.slice(0, -1)) stream.write(piece);
  stream.write(pieces.at(-1) ?? Buffer.alloc(0), (error) => (error ? undefined : taken()));
  stream.uncork();
}

/** A gRPC stream as sessions use it. */
export function grpcTransport(call: ServerDuplexStream<Buffer, Buffer>): Transport {
  const stream = http2StreamOf(call);
  return {
    abort: () => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM),
    send: (message, taken) => {
      call.sendMetadata(new Metadata());
      writeFramed(stream, message, taken);
    },
    end: (reason) => {
      if (!reason) call.end();
      else call.emit("error", { code: statuses[reason.code], details: statusText(reason), metadata: new Metadata() });
    },
  };
}

/** An internal fault's details stay in the log. */
function statusText(reason: WeftError): string {
  return reason.code === "Internal" ? "internal error" : messageOf(reason);
}
