import {
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  type Registry,
} from "@bufbuild/protobuf";
import { messageOf } from "#base/errors.ts";

/** What a patch's value comes to. */
export type ReadValue<M> =
  | {
      readonly kind: "message";
      readonly message: M;
      /** Paths of fields that Envoy does not know. */ readonly unknown: readonly string[];
    }
  | { readonly kind: "problem"; readonly problem: string };

/** Messages that are written in JSON in a form of their own. */
function hasOwnForm({ typeName }: DescMessage): boolean {
  return typeName.startsWith("google.protobuf.");
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Configurations whose type stands beside them as text. */
const typedStructs: ReadonlySet<string> = new Set(["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"]);

function typeNameOf(url: JsonValue | undefined): string {
  return typeof url === "string" ? url.slice(url.lastIndexOf("/") + 1) : "";
}

/**
 * A value with every `TypedStruct` written as the message that it stands for, where that is known: so it is checked, and
 * can be merged with a configuration of that type. Envoy does the same when it reads one.
 */
function withoutTypedStructs(value: JsonValue, registry: Registry): JsonValue {
  if (Array.isArray(value)) return value.map((item) => withoutTypedStructs(item, registry));
  if (!isObject(value)) return value;
  const { "@type": type, value: inner = {} } = value;
  const url = value["type_url"] ?? value["typeUrl"];
  if (typedStructs.has(typeNameOf(type)) && isObject(inner) && typeof url === "string") {
    const known = registry.getMessage(typeNameOf(url));
    if (known && !hasOwnForm(known)) return withoutTypedStructs({ "@type": url, ...inner }, registry);
  }
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutTypedStructs(each, registry)]));
}

/** Names the fields of a JSON value that its message does not have. */
function* unknownFields(schema: DescMessage, value: JsonValue, path: string, registry: Registry): Generator<string> {
  if (!isObject(value)) return;
  if (schema.typeName === "google.protobuf.Any") {
    const { "@type": type, ...rest } = value;
    const known = registry.getMessage(typeNameOf(type));
    if (known) yield* unknownFields(known, rest, path, registry);
    return;
  }
  if (hasOwnForm(schema)) return;
  for (const [key, member] of Object.entries(value)) {
    const field = schema.fields.find(({ name, jsonName }) => name === key || jsonName === key);
    const at = `${path}.${key}`;
    if (!field) yield at;
    else if (field.message === undefined) continue;
    else if (field.fieldKind === "map") {
      for (const [name, each] of isObject(member) ? Object.entries(member) : []) {
        yield* unknownFields(field.message, each, `${at}[${JSON.stringify(name)}]`, registry);
      }
    } else if (field.fieldKind === "list") {
      for (const [index, each] of (Array.isArray(member) ? member : []).entries()) {
        yield* unknownFields(field.message, each, `${at}[${index}]`, registry);
      }
    } else yield* unknownFields(field.message, member, at, registry);
  }
}

/** Reads the value of a patch as a message of Envoy's. Fields that Envoy does not know are passed over, as in Istio. */
export function readValue<D extends DescMessage>(
  schema: D,
  json: JsonValue,
  registry: Registry,
): ReadValue<MessageShape<D>> {
  const value = withoutTypedStructs(json, registry);
  try {
    const message = fromJson(schema, value, { registry, ignoreUnknownFields: true });
    return { kind: "message", message, unknown: [...unknownFields(schema, value, "", registry)] };
  } catch (error) {
    return { kind: "problem", problem: messageOf(error) };
  }
}
