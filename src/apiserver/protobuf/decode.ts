import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { setMember } from "../patch/member.ts";
import { ApiError } from "../status.ts";
import { decodeSpecial, type SpecialType } from "./special.ts";
import { messages } from "./messages.ts";

/** How a field of a message is read. */
interface Field {
  readonly name: string;
  readonly type: string;
  readonly form: "one" | "list" | "map" | "inline";
  /** Zero and false are kept as values. */
  readonly explicit: boolean;
}

type Message = ReadonlyMap<number, Field>;

const fieldPattern = /^(?<name>\w+)=(?<number>\d+)(?::(?<mark>\[\]|\{\}|~|\?)?(?<type>\w+))?$/;
const forms: Readonly<Record<string, Field["form"]>> = { "[]": "list", "{}": "map", "~": "inline" };

function parseMessage(text: string): Message {
  return new Map(
    text.split(" ").map((part): [number, Field] => {
      const { name = "", number = "", mark = "", type = "string" } = fieldPattern.exec(part)?.groups ?? {};
      return [Number(number), { name, type, form: forms[mark] ?? "one", explicit: mark === "?" }];
    }),
  );
}

const specials: ReadonlySet<string> = new Set(["Time", "MicroTime", "Quantity", "IntOrString", "Raw", "Texts"]);

/** Reads Kubernetes' protobuf messages as the JSON that says the same. */
class Decoder {
  readonly #known = new Map<string, Message>();

  /** @param end where the message ends in the reader. */
  read(reader: BinaryReader, type: string, end: number): Record<string, unknown> {
    const message = this.#message(type);
    const object: Record<string, unknown> = {};
    while (reader.pos < end) {
      const [number, wire] = reader.tag();
      const field = message.get(number);
      if (field === undefined) {
        throw new ApiError(
          "UnsupportedMediaType",
          `field ${number} of ${type} is not known in protobuf: send application/json`,
        );
      }
      this.#readField(reader, field, wire, object);
    }
    return object;
  }

  #message(type: string): Message {
    let message = this.#known.get(type);
    if (message === undefined) {
      message = parseMessage(messages[type] ?? "");
      this.#known.set(type, message);
    }
    return message;
  }

  #readField(reader: BinaryReader, field: Field, wire: WireType, object: Record<string, unknown>): void {
    const { name, type, form, explicit } = field;
    switch (form) {
      case "list":
        this.#readItems(reader, type, wire, (object[name] ??= []) as unknown[]);
        return;
      case "map":
        this.#readEntry(reader, type, (object[name] ??= {}) as Record<string, unknown>);
        return;
      case "inline":
        Object.assign(object, this.#readValue(reader, type));
        return;
      case "one": {
        const value = this.#readValue(reader, type);
        const unset = value === undefined || value === "" || ((value === 0 || value === false) && !explicit);
        if (!unset) object[name] = value;
      }
    }
  }

  /** Numbers of a list may come packed. */
  #readItems(reader: BinaryReader, type: string, wire: WireType, items: unknown[]): void {
    const packed = wire === WireType.LengthDelimited && (type === "int" || type === "bool" || type === "double");
    if (!packed) {
      items.push(this.#readValue(reader, type));
      return;
    }
    const end = reader.uint32() + reader.pos;
    while (reader.pos < end) items.push(this.#readValue(reader, type));
  }

  #readEntry(reader: BinaryReader, type: string, entries: Record<string, unknown>): void {
    const end = reader.uint32() + reader.pos;
    let key = "";
    let value: unknown = type === "string" ? "" : undefined;
    while (reader.pos < end) {
      const [number, wire] = reader.tag();
      if (number === 1) key = reader.string();
      else if (number === 2) value = this.#readValue(reader, type);
      else reader.skip(wire);
    }
    setMember(entries, key, value);
  }

  #readValue(reader: BinaryReader, type: string): unknown {
    switch (type) {
      case "string":
        return reader.string();
      case "int":
        return Number(reader.int64());
      case "bool":
        return reader.bool();
      case "double":
        return reader.double();
      case "bytes":
        return Buffer.from(reader.bytes()).toString("base64");
      default: {
        if (specials.has(type)) return decodeSpecial(type as SpecialType, reader.bytes());
        const length = reader.uint32();
        if (reader.pos + length > reader.len) throw new RangeError("a message is longer than its body");
        return this.read(reader, type, reader.pos + length);
      }
    }
  }
}

/** What stands before every Kubernetes object in protobuf. */
const magic = Buffer.from("k8s\0");

/**
 * Reads an object that a client sent as `application/vnd.kubernetes.protobuf`, as Go clients do for Kubernetes' own
 * kinds.
 * @returns the object as JSON has it, with `apiVersion` and `kind`.
 * @throws ApiError `BadRequest` when it is malformed, `UnsupportedMediaType` for kinds that only JSON is known of.
 */
export function decodeProtobuf(body: Buffer): Record<string, unknown> {
  if (!body.subarray(0, magic.length).equals(magic)) {
    throw new ApiError("BadRequest", "the body of the request is not Kubernetes protobuf");
  }
  try {
    return decodeEnvelope(body.subarray(magic.length));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("BadRequest", `the body of the request is not valid protobuf: ${(error as Error).message}`);
  }
}

/** The envelope: what the object is (field 1), and the object in its own message (field 2). */
function decodeEnvelope(body: Buffer): Record<string, unknown> {
  const decoder = new Decoder();
  const reader = new BinaryReader(body);
  let type: Record<string, unknown> = {};
  let raw: Uint8Array = new Uint8Array();
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (number === 1) {
      const bytes = reader.bytes();
      type = decoder.read(new BinaryReader(bytes), "TypeMeta", bytes.length);
    } else if (number === 2) raw = reader.bytes();
    else reader.skip(wire);
  }
  const { apiVersion, kind } = type;
  if (typeof kind !== "string" || typeof apiVersion !== "string" || !Object.hasOwn(messages, kind)) {
    throw new ApiError("UnsupportedMediaType", `${String(kind)} is not known in protobuf: send application/json`);
  }
  return { apiVersion, kind, ...decoder.read(new BinaryReader(raw), kind, raw.length) };
}
