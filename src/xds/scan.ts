import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Misconduct } from "./conduct.ts";
import type { XdsLimits } from "./limits.ts";
import type { Variant } from "./message.ts";

/** Bytes of a request that is read without a look at it first. */
const harmless = 16 * 1024;

/** Numbers of the fields of a request whose sizes are limited apart. */
interface RequestFields {
  readonly node: number;
  /** Names that are asked for or not any more, and names with versions. */
  readonly lists: readonly number[];
  /** `error_detail`. */
  readonly refusal: number;
}

const fieldsOf: Readonly<Record<Variant, RequestFields>> = {
  delta: { node: 1, lists: [3, 4, 5], refusal: 7 },
  sotw: { node: 2, lists: [3], refusal: 6 },
};

/** Bytes of all fields that have no limit of their own: a type, a nonce, a version. */
const mostOthers = 64 * 1024;

/** Characters of a refusal that are read; Envoy names in it what it does not take. */
const longestRefusal = 16 * 1024;

/** A request whose sizes are within bounds. */
export interface Scanned {
  readonly bytes: Uint8Array;
  /** The text of a refusal that was too long to be read with the rest. */
  readonly refusal: string | undefined;
}

/** Adds up the sizes of a request's fields, before anything of them is kept. */
class Sizes {
  readonly #fields: RequestFields;
  readonly #limits: XdsLimits;
  readonly #names = new Map<number, number>();
  #node = 0;
  #others = 0;

  constructor(fields: RequestFields, limits: XdsLimits) {
    this.#fields = fields;
    this.#limits = limits;
  }

  /** @throws Misconduct when that makes too much of something. */
  add(field: number, bytes: number): void {
    const { node, lists, refusal } = this.#fields;
    if (lists.includes(field)) this.#addName(field);
    else if (field === node) this.#addNode(bytes);
    else if (field !== refusal) this.#addOther(bytes);
  }

  #addName(field: number): void {
    const names = (this.#names.get(field) ?? 0) + 1;
    this.#names.set(field, names);
    const { namesPerType } = this.#limits;
    if (names <= namesPerType) return;
    const what = `asked for more than ${namesPerType} names of one type at once, which is the limit; find out what speaks for it`;
    throw new Misconduct("ProxyAsksTooMuch", "ResourceExhausted", what);
  }

  #addNode(bytes: number): void {
    this.#node += bytes;
    if (this.#node <= this.#limits.nodeBytes) return;
    const what = `says more than ${this.#limits.nodeBytes} bytes of itself, which is the limit; shorten its metadata, such as labels and annotations`;
    throw new Misconduct("ProxyInvalidNode", "ResourceExhausted", what);
  }

  #addOther(bytes: number): void {
    this.#others += bytes;
    if (this.#others <= mostOthers) return;
    const what = `sent a request with ${mostOthers} bytes and more in fields of a few bytes; find out what speaks for it`;
    throw new Misconduct("ProxyInvalidRequest", "InvalidArgument", what);
  }
}

/**
 * Looks at the sizes of a long request before it is decoded, which costs many times its bytes.
 * @throws Misconduct when it asks for too much; Error when it is no message.
 */
export function scanned(bytes: Uint8Array, variant: Variant, limits: XdsLimits): Scanned {
  if (bytes.length <= harmless) return { bytes, refusal: undefined };
  const fields = fieldsOf[variant];
  const sizes = new Sizes(fields, limits);
  const reader = new BinaryReader(bytes);
  let refusal: readonly [start: number, end: number] = [0, 0];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, wire] = reader.tag();
    reader.skip(wire, field);
    sizes.add(field, reader.pos - start);
    if (field === fields.refusal && wire === WireType.LengthDelimited) refusal = [start, reader.pos];
  }
  const [start, end] = refusal;
  if (end - start <= longestRefusal) return { bytes, refusal: undefined };
  const rest = Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
  return { bytes: rest, refusal: refusalText(bytes.subarray(start, end)) };
}

/** The beginning of the message (field 2) of a `google.rpc.Status`, which stands in a field. */
function refusalText(field: Uint8Array): string {
  const outer = new BinaryReader(field);
  outer.tag();
  const reader = new BinaryReader(outer.bytes());
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (number === 2 && wire === WireType.LengthDelimited) {
      return Buffer.from(reader.bytes().subarray(0, longestRefusal)).toString("utf8");
    }
    reader.skip(wire, number);
  }
  return "";
}
