import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { MethodDefinition } from "@grpc/grpc-js";

/** `bookshop.v1.CountRequest` of `stock.proto`. */
export interface CountRequest {
  readonly book: string;
}

/** `bookshop.v1.CountReply` of `stock.proto`. */
export interface CountReply {
  readonly copies: number;
  readonly version: string;
  readonly pod: string;
  readonly cluster: string;
}

/** Calls the reader for each field of a message, with its number; the reader returns false for what it does not know. */
function readFields(bytes: Uint8Array, read: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (!read(field, reader)) reader.skip(type, field);
  }
}

/** A message's bytes from its text fields. */
function writeTexts(writer: BinaryWriter, texts: readonly (readonly [field: number, text: string])[]): BinaryWriter {
  for (const [field, text] of texts) if (text !== "") writer.tag(field, WireType.LengthDelimited).string(text);
  return writer;
}

function decodeRequest(bytes: Uint8Array): CountRequest {
  let book = "";
  readFields(bytes, (field, reader) => {
    if (field === 1) book = reader.string();
    return field === 1;
  });
  return { book };
}

function encodeReply({ copies, version, pod, cluster }: CountReply): Buffer {
  const writer = new BinaryWriter();
  if (copies !== 0) writer.tag(1, WireType.Varint).uint32(copies);
  return Buffer.from(
    writeTexts(writer, [
      [2, version],
      [3, pod],
      [4, cluster],
    ]).finish(),
  );
}

function decodeReply(bytes: Uint8Array): CountReply {
  const reply = { copies: 0, version: "", pod: "", cluster: "" };
  readFields(bytes, (field, reader) => {
    if (field === 1) reply.copies = reader.uint32();
    else if (field === 2) reply.version = reader.string();
    else if (field === 3) reply.pod = reader.string();
    else if (field === 4) reply.cluster = reader.string();
    else return false;
    return true;
  });
  return reply;
}

/** `bookshop.v1.Stock/Count`. */
export const countMethod: MethodDefinition<CountRequest, CountReply> = {
  path: "/bookshop.v1.Stock/Count",
  requestStream: false,
  responseStream: false,
  requestSerialize: ({ book }) => Buffer.from(writeTexts(new BinaryWriter(), [[1, book]]).finish()),
  requestDeserialize: decodeRequest,
  responseSerialize: encodeReply,
  responseDeserialize: decodeReply,
};
