import {
  type DescField,
  type DescMessage,
  getOption,
  hasOption,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import { reflect, type ReflectList, type ReflectMap, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { AnySchema, type Any, FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { type FieldRules, required, rules as fieldRules } from "#proto/gen/validate/validate_pb.js";
import { valueProblem } from "./limits.ts";
import { opened } from "#proto/merge.ts";

/** A field that breaks a rule of Envoy's schema. */
interface Violation {
  /** The field within the value: `.load_assignment.cluster_name`. */
  readonly path: string;
  readonly problem: string;
}

/** How much of a message is there: all of it, or what is merged into one that has the rest. */
type Extent = "whole" | "part";

function isRequired(field: DescField, { type, message }: FieldRules): boolean {
  // One of several is only required where it is the one.
  if (field.oneof !== undefined) return false;
  if (message?.required === true) return true;
  if ((type.case === "duration" || type.case === "any") && type.value.required) return true;
  // Texts and numbers without a presence of their own are there always.
  return field.fieldKind === "scalar" && field.presence === FeatureSet_FieldPresence.IMPLICIT;
}

/** The value of a wrapped number or text, or the value itself. */
function plain(value: unknown): unknown {
  const { message } = value as { readonly message?: Message & { readonly value?: unknown } };
  return message && Object.hasOwn(message, "value") && message.$typeName.endsWith("Value") ? message.value : message;
}

function enumProblem({ enum: known }: DescField, value: unknown): string | undefined {
  if (!known || known.values.some(({ number }) => number === value)) return undefined;
  return `must be one of ${known.values.map(({ name }) => name).join(", ")}`;
}

function* inList(list: ReflectList, { type }: FieldRules, path: string): Generator<Violation> {
  if (type.case !== "repeated") return;
  const { minItems, items } = type.value;
  // A limit that is not set would read as zero.
  const { maxItems }: { readonly maxItems?: bigint } = { ...type.value };
  if (list.size < minItems) yield { path, problem: `must have ${minItems} items or more` };
  if (maxItems !== undefined && list.size > maxItems) yield { path, problem: `must have ${maxItems} items or fewer` };
  for (const [index, item] of [...list].entries()) {
    const problem = items && valueProblem(plain(item) ?? item, items);
    if (problem !== undefined) yield { path: `${path}[${index}]`, problem };
  }
}

function* ofField(message: ReflectMessage, field: DescField, extent: Extent, path: string): Generator<Violation> {
  const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
  if (!rules) return;
  const set = message.isSet(field);
  if (!set && extent === "part") return;
  if (field.fieldKind === "list") yield* inList(message.get(field), rules, path);
  else if (field.fieldKind === "map") {
    const { size } = message.get(field);
    const least = rules.type.case === "map" ? rules.type.value.minPairs : 0n;
    if (size < least) yield { path, problem: `must have ${least} entries or more` };
  } else if (set || (isRequired(field, rules) && field.fieldKind === "scalar")) {
    const value: unknown = message.get(field);
    const problem =
      enumProblem(field, value) ?? valueProblem(field.fieldKind === "message" ? plain(value) : value, rules);
    if (problem !== undefined) yield { path, problem };
  } else if (isRequired(field, rules)) yield { path, problem: "is required" };
}

/** Messages in a field, and where. What lists and maps hold is there as a whole. */
function* messagesIn(message: ReflectMessage, field: DescField, extent: Extent, path: string) {
  if (!field.message || !message.isSet(field)) return;
  if (field.fieldKind === "list") {
    const list = message.get(field) as ReflectList<ReflectMessage>;
    for (const [index, item] of [...list].entries()) {
      yield { inner: item, extent: "whole" as const, at: `${path}[${index}]` };
    }
  } else if (field.fieldKind === "map") {
    for (const [key, item] of message.get(field) as ReflectMap<string, ReflectMessage>) {
      yield { inner: item, extent: "whole" as const, at: `${path}[${JSON.stringify(key)}]` };
    }
  } else yield { inner: message.get(field), extent, at: path };
}

function* inMessage(message: ReflectMessage, extent: Extent, path: string, registry: Registry): Generator<Violation> {
  const { desc } = message;
  if (desc.typeName === AnySchema.typeName) {
    const inner = opened(message.message as Any, registry);
    if (inner) yield* inMessage(reflect(inner.schema, inner.message), extent, path, registry);
    return;
  }
  if (desc.typeName.startsWith("google.protobuf.")) return;
  for (const oneof of desc.oneofs) {
    if (extent === "whole" && hasOption(oneof, required) && message.oneofCase(oneof) === undefined) {
      const names = oneof.fields.map(({ name }) => name);
      yield { path, problem: `needs one of ${names.join(", ")}` };
    }
  }
  for (const field of desc.fields) {
    const at = `${path}.${field.name}`;
    yield* ofField(message, field, extent, at);
    for (const each of messagesIn(message, field, extent, at)) {
      yield* inMessage(each.inner, each.extent, each.at, registry);
    }
  }
}

/**
 * Fields of a message that break the rules in Envoy's schema (`validate.rules`), for which Envoy would refuse the whole
 * resource that it is put into.
 */
export function brokenRules(
  schema: DescMessage,
  message: Message,
  extent: Extent,
  registry: Registry,
): readonly Violation[] {
  return [...inMessage(reflect(schema, message), extent, "", registry)];
}
