/** The part of DNS (RFC 1035, EDNS of RFC 6891) that a name server for a mesh's hosts needs. */

/** Record types. */
export const recordTypes = { a: 1, cname: 5, aaaa: 28, opt: 41 } as const;
/** Response codes. */
export const responseCodes = { ok: 0, formatError: 1, serverFailure: 2, noSuchName: 3, notImplemented: 4 } as const;
const classInternet = 1;

/** Bytes before the question. */
export const headerLength = 12;
const maxName = 255;
const maxLabel = 63;
/** What a client that says nothing else takes over UDP. */
const plainUdpSize = 512;

/** A question about one name. */
export interface Query {
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  /** Lower case, without the final dot; empty for the root. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Whether the query has an OPT record. */
  readonly edns: boolean;
  /** Bytes that the client takes over UDP. */
  readonly udpSize: number;
  /** The question's bytes as they came: the answer repeats them, letter case included. */
  readonly question: Uint8Array;
}

/** An answer's record. */
export type Answer =
  | { readonly kind: "a"; readonly name: string; readonly address: string; readonly ttl: number }
  | { readonly kind: "cname"; readonly name: string; readonly target: string; readonly ttl: number };

interface Cursor {
  readonly name: string;
  readonly next: number;
}

/**
 * Reads a name. Each pointer must lead further back than the one before, so a message cannot lead in circles.
 * @throws RangeError when the bytes are no name.
 */
function readName(bytes: Uint8Array, start: number): Cursor {
  const labels: string[] = [];
  let at = start;
  let next: number | undefined;
  let length = 0;
  let limit = bytes.length;
  for (;;) {
    const size = byteAt(bytes, at);
    if (size === 0) return { name: labels.join("."), next: next ?? at + 1 };
    if (size >= 0xc0) {
      const target = ((size & 0x3f) << 8) | byteAt(bytes, at + 1);
      if (target >= Math.min(at, limit)) throw new RangeError("a name's pointer leads forward");
      next ??= at + 2;
      limit = at = target;
      continue;
    }
    length += size + 1;
    if (size > maxLabel || length >= maxName || at + 1 + size > bytes.length)
      throw new RangeError("a name is too long");
    labels.push(
      Buffer.from(bytes.subarray(at + 1, at + 1 + size))
        .toString("latin1")
        .toLowerCase(),
    );
    at += size + 1;
  }
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new RangeError("a message ends early");
  return byte;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) << 8) | byteAt(bytes, at + 1);
}

/** The UDP size that the OPT record tells, or undefined where there is none. Other records are passed over. */
function ednsSize(bytes: Uint8Array, start: number, records: number): number | undefined {
  let at = start;
  for (let index = 0; index < records; index += 1) {
    const { next } = readName(bytes, at);
    const type = wordAt(bytes, next);
    if (type === recordTypes.opt) return wordAt(bytes, next + 2);
    at = next + 10 + wordAt(bytes, next + 8);
  }
  return undefined;
}

/**
 * Reads a query.
 * @throws RangeError when the bytes are none, or ask for anything but one name.
 */
export function readQuery(bytes: Uint8Array): Query {
  const flags = wordAt(bytes, 2);
  if ((flags & 0x8000) !== 0) throw new RangeError("a response, not a query");
  if (wordAt(bytes, 4) !== 1) throw new RangeError("not one question");
  const { name, next } = readName(bytes, headerLength);
  const type = wordAt(bytes, next);
  const size = ednsSize(bytes, next + 4, wordAt(bytes, 6) + wordAt(bytes, 8) + wordAt(bytes, 10));
  return {
    id: wordAt(bytes, 0),
    opcode: (flags >> 11) & 0xf,
    recursionDesired: (flags & 0x0100) !== 0,
    name,
    type,
    class: wordAt(bytes, next + 2),
    edns: size !== undefined,
    udpSize: Math.max(plainUdpSize, size ?? 0),
    question: bytes.slice(headerLength, next + 4),
  };
}

function nameBytes(name: string): Buffer {
  const labels = name === "" ? [] : name.split(".");
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, "latin1")])),
    Buffer.of(0),
  ]);
}

function recordBytes(answer: Answer, query: Query): Buffer {
  // The question's own name is pointed at, so that its letter case is kept and answers stay small.
  const owner = answer.name === query.name ? Buffer.of(0xc0, headerLength) : nameBytes(answer.name);
  const data = answer.kind === "a" ? Buffer.from(answer.address.split(".").map(Number)) : nameBytes(answer.target);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(recordTypes[answer.kind], 0);
  fixed.writeUInt16BE(classInternet, 2);
  fixed.writeUInt32BE(answer.ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

/** What a response says. */
export interface ResponseOptions {
  readonly code: number;
  readonly answers?: readonly Answer[];
  /** Whether the server speaks for the name. */
  readonly authoritative?: boolean;
  /** Whether there is more than the answers, to be asked for over TCP. */
  readonly cut?: boolean;
  /** Largest size in bytes; answers that do not fit are left out and the response is marked as cut. */
  readonly maxSize: number;
}

/** Writes the response to a query. */
export function writeResponse(query: Query, options: ResponseOptions): Buffer {
  const { code, answers = [], authoritative = false, maxSize } = options;
  const opt = query.edns ? Buffer.of(0, 0, recordTypes.opt, 0x10, 0, 0, 0, 0, 0, 0, 0) : Buffer.alloc(0);
  const records: Buffer[] = [];
  let size = headerLength + query.question.length + opt.length;
  let { cut = false } = options;
  for (const answer of answers) {
    const record = recordBytes(answer, query);
    size += record.length;
    if (size > maxSize) {
      cut = true;
      break;
    }
    records.push(record);
  }
  const header = Buffer.alloc(headerLength);
  header.writeUInt16BE(query.id, 0);
  const flags =
    0x8000 |
    (query.opcode << 11) |
    (authoritative ? 0x0400 : 0) |
    (cut ? 0x0200 : 0) |
    (query.recursionDesired ? 0x0100 : 0) |
    0x0080 |
    code;
  header.writeUInt16BE(flags, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt16BE(opt.length === 0 ? 0 : 1, 10);
  return Buffer.concat([header, query.question, ...records, opt]);
}

/** The response to bytes that are no query; undefined when not even an id can be read. */
export function writeFormatError(bytes: Uint8Array): Buffer | undefined {
  if (bytes.length < headerLength || ((bytes[2] ?? 0) & 0x80) !== 0) return undefined;
  const header = Buffer.alloc(headerLength);
  header.set(bytes.subarray(0, 2));
  header.writeUInt16BE(0x8080 | responseCodes.formatError, 2);
  return header;
}
