import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { timestamp } from "#base/timestamp.ts";

/** Messages whose JSON form is not an object of their fields. */
export type SpecialType = "Time" | "MicroTime" | "Quantity" | "IntOrString" | "Raw" | "Texts";

/** The fields of a message by number; numbers and texts only. */
function readFields(bytes: Uint8Array): ReadonlyMap<number, number | string> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, number | string>();
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (wire === WireType.Varint) fields.set(number, Number(reader.int64()));
    else if (wire === WireType.LengthDelimited) fields.set(number, reader.string());
    else reader.skip(wire);
  }
  return fields;
}

/** An empty time is one that was never set. */
function timeText(fields: ReadonlyMap<number, number | string>, precise: boolean): string | undefined {
  if (fields.size === 0) return undefined;
  const [seconds, nanos] = [Number(fields.get(1) ?? 0), Number(fields.get(2) ?? 0)];
  const whole = timestamp(seconds * 1000);
  return precise ? whole.replace("Z", `.${String(Math.floor(nanos / 1000)).padStart(6, "0")}Z`) : whole;
}

/** A message that has nothing but texts in field 1, such as Kubernetes' `ExtraValue`, is a list in JSON. */
function texts(bytes: Uint8Array): readonly string[] {
  const reader = new BinaryReader(bytes);
  const found: string[] = [];
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (number === 1 && wire === WireType.LengthDelimited) found.push(reader.string());
    else reader.skip(wire);
  }
  return found;
}

/** The JSON form of a special message; undefined where it says that nothing was set. */
export function decodeSpecial(type: SpecialType, bytes: Uint8Array): unknown {
  if (type === "Texts") return texts(bytes);
  const fields = readFields(bytes);
  switch (type) {
    case "Time":
      return timeText(fields, false);
    case "MicroTime":
      return timeText(fields, true);
    case "Quantity":
      return fields.get(1) ?? "0";
    case "IntOrString":
      return fields.get(1) === 1 ? (fields.get(3) ?? "") : (fields.get(2) ?? 0);
    case "Raw": {
      const text = fields.get(1);
      return typeof text === "string" ? (JSON.parse(text) as unknown) : undefined;
    }
  }
}
