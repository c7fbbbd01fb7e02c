import {
  clone,
  type DescMessage,
  type Message,
  type MessageShape,
  type Registry,
  create,
  toBinary,
} from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { type Any, AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";

/** Whether lists are put behind those that are there, or in their place. */
export type Lists = "append" | "replace";

function copyOf(value: unknown): unknown {
  const { message, desc } = value as Partial<ReflectMessage>;
  return message && desc ? reflect(desc, clone(desc, message)) : value;
}

function mergeInto(target: ReflectMessage, source: ReflectMessage, lists: Lists): void {
  for (const field of source.fields) {
    if (!source.isSet(field)) continue;
    switch (field.fieldKind) {
      case "list": {
        const list = target.get(field);
        if (lists === "replace") list.clear();
        for (const item of source.get(field)) list.add(copyOf(item));
        break;
      }
      case "map": {
        const map = target.get(field);
        for (const [key, value] of source.get(field)) map.set(key, copyOf(value));
        break;
      }
      case "message": {
        const value = source.get(field);
        // Half of a time span is none: the seconds of one and the fraction of the other.
        if (!target.isSet(field) || field.message.typeName === "google.protobuf.Duration") {
          target.set(field, copyOf(value));
          break;
        }
        const merged = target.get(field);
        mergeInto(merged, value, lists);
        // Wrapped numbers and structures are read as copies, so they are put back.
        target.set(field, merged);
        break;
      }
      case "enum":
      case "scalar":
        target.set(field, source.get(field));
    }
  }
}

/**
 * Puts the fields of a message into another, as Istio does for MERGE: messages field by field, lists at the end, entries
 * of maps in place of those with their key, time spans as a whole. As everywhere in Protocol Buffers, a number, text or
 * truth that has its default counts as not set, also a wrapped one where a value is there already.
 */
export function mergeMessage<D extends DescMessage>(
  schema: D,
  target: MessageShape<D>,
  source: MessageShape<D>,
  lists: Lists = "append",
): void {
  mergeInto(reflect(schema, target), reflect(schema, source), lists);
}

/** The message that an `Any` holds, if its type is known. */
export function opened(
  any: Any,
  registry: Registry,
): { readonly schema: DescMessage; readonly message: Message } | undefined {
  const schema = registry.getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1));
  const message = schema && anyUnpack(any, schema);
  return schema && message && { schema, message };
}

/** A configuration with another of its type merged into it; as it was where the types differ. */
export function mergeAny(target: Any, source: Any, registry: Registry): Any {
  const [into, from] = [opened(target, registry), opened(source, registry)];
  if (!into || !from || into.schema.typeName !== from.schema.typeName) return target;
  mergeMessage(into.schema, into.message, from.message);
  return create(AnySchema, { typeUrl: target.typeUrl, value: toBinary(into.schema, into.message) });
}
