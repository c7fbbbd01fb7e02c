import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  type Registry,
} from "@bufbuild/protobuf";
import { messageOf } from "#base/errors.ts";

/** What a message cannot take. */
interface Fault {
  /** The field within the value: `.circuit_breakers.thresholds[0].priority`. */
  readonly path: string;
  readonly problem: string;
}

/** What a patch's value comes to. */
export type ReadValue<M> =
  | {
      readonly kind: "message";
      readonly message: M;
      /** Paths of fields that Envoy does not know. */
      readonly unknown: readonly string[];
    }
  | ({ readonly kind: "fault" } & Fault);

const anyType = "google.protobuf.Any";

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

/** A member of a JSON value, as the message of a field. */
interface Inner {
  readonly schema: DescMessage;
  readonly value: JsonValue;
  readonly path: string;
}

/** The messages in a member of a JSON value. */
function innerOf(field: DescField, member: JsonValue, path: string): readonly Inner[] {
  const { message: schema } = field;
  if (!schema) return [];
  if (field.fieldKind === "list") {
    const items = Array.isArray(member) ? member : [];
    return items.map((value, index) => ({ schema, value, path: `${path}[${index}]` }));
  }
  if (field.fieldKind !== "map") return [{ schema, value: member, path }];
  const entries = isObject(member) ? Object.entries(member) : [];
  return entries.map(([name, value]) => ({ schema, value, path: `${path}[${JSON.stringify(name)}]` }));
}

/** A JSON value as the message that its `@type` says. */
function typed({ schema, value, path }: Inner, registry: Registry): Inner | undefined {
  if (schema.typeName !== anyType || !isObject(value)) return hasOwnForm(schema) ? undefined : { schema, value, path };
  const { "@type": type, ...rest } = value;
  const known = registry.getMessage(typeNameOf(type));
  return known && !hasOwnForm(known) ? { schema: known, value: rest, path } : undefined;
}

function fieldOf(schema: DescMessage, key: string): DescField | undefined {
  return schema.fields.find(({ name, jsonName }) => name === key || jsonName === key);
}

/** Whether a member says a value by a name that is none; it is passed over as fields are. */
function isUnknownEnum({ enum: known }: DescField, member: JsonValue): boolean {
  return typeof member === "string" && known?.values.every(({ name }) => name !== member) === true;
}

/** Names the fields of a JSON value that its message does not have. */
function* unknownFields(given: Inner, registry: Registry): Generator<string> {
  const inner = typed(given, registry);
  if (!inner || !isObject(inner.value)) return;
  for (const [key, member] of Object.entries(inner.value)) {
    const path = `${inner.path}.${key}`;
    const field = fieldOf(inner.schema, key);
    if (!field || isUnknownEnum(field, member)) yield path;
    else for (const each of innerOf(field, member, path)) yield* unknownFields(each, registry);
  }
}

function problemOf({ schema, value }: Inner, registry: Registry): string | undefined {
  try {
    fromJson(schema, value, { registry, ignoreUnknownFields: true });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** The innermost field of a JSON value that its message cannot take, and why. */
function faultIn(given: Inner, registry: Registry): Fault | undefined {
  const problem = problemOf(given, registry);
  if (problem === undefined) return undefined;
  const { schema, value, path } = typed(given, registry) ?? given;
  for (const [key, member] of isObject(value) && schema.typeName !== anyType ? Object.entries(value) : []) {
    const field = fieldOf(schema, key);
    const at = `${path}.${key}`;
    for (const each of field ? innerOf(field, member, at) : []) {
      const fault = faultIn(each, registry);
      if (fault) return fault;
    }
    const alone = field && problemOf({ schema, value: { [key]: member }, path }, registry);
    if (alone !== undefined) return { path: at, problem: alone };
  }
  return { path, problem };
}

/** Reads the value of a patch as a message of Envoy's. Fields that Envoy does not know are passed over, as in Istio. */
export function readValue<D extends DescMessage>(
  schema: D,
  json: JsonValue,
  registry: Registry,
): ReadValue<MessageShape<D>> {
  const value = withoutTypedStructs(json, registry);
  const inner = { schema, value, path: "" };
  const fault = faultIn(inner, registry);
  if (fault) return { kind: "fault", ...fault };
  const message = fromJson(schema, value, { registry, ignoreUnknownFields: true });
  return { kind: "message", message, unknown: [...unknownFields(inner, registry)] };
}
