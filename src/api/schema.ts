import { Type } from "typebox";
import type {
  Static,
  TArray,
  TBoolean,
  TInteger,
  TNumber,
  TObject,
  TOptional,
  TSchema,
  TString,
  TUnsafe,
} from "typebox";

/** Fields of an object by name. */
type Fields = Readonly<Record<string, TSchema>>;

type ObjectFields<Required extends Fields, Optional extends Fields> = Required & {
  [Name in keyof Optional]: TOptional<Optional[Name]>;
};

/** A value of the API as code may hold it: nobody changes it in place. */
type Immutable<T> = T extends (infer Item)[]
  ? readonly Immutable<Item>[]
  : T extends object
    ? { readonly [Member in keyof T]: Immutable<T[Member]> }
    : T;

/** The static type of a schema. */
export type Value<Schema extends TSchema> = Immutable<Static<Schema>>;

/**
 * Keywords beside JSON Schema's own. Those that begin with `x-kubernetes` are Kubernetes' and are served to clients;
 * the others are Weft's and stay inside.
 */
export const keyword = {
  /** Groups of fields of an object, of each of which at most one may be set: `[["exact", "prefix", "regex"]]`. */
  oneOf: "x-weft-one-of",
  /** Name and description of a schema that is held once and referred to: `{name: "io.k8s.api.core.v1.Container", ...}`. */
  definition: "x-weft-definition",
  intOrString: "x-kubernetes-int-or-string",
  preserveUnknown: "x-kubernetes-preserve-unknown-fields",
  patchStrategy: "x-kubernetes-patch-strategy",
  patchMergeKey: "x-kubernetes-patch-merge-key",
  listType: "x-kubernetes-list-type",
  listMapKeys: "x-kubernetes-list-map-keys",
  mapType: "x-kubernetes-map-type",
} as const;

/** What a text field may be asked beyond being text. */
interface TextOptions {
  readonly default?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
}

/** What a number may be asked. */
interface NumberOptions {
  readonly default?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** What an object may be asked. */
interface ObjectOptions {
  /** Groups of fields, of each of which at most one may be set. */
  readonly oneOf?: readonly (readonly string[])[];
  readonly default?: object;
  /** Fields that the schema does not name are kept. */
  readonly open?: boolean;
  /** Two values are merged as one: a reference, a selector. */
  readonly atomic?: boolean;
}

/** What a list may be asked. */
interface ListOptions {
  readonly default?: readonly unknown[];
  readonly minItems?: number;
  readonly maxItems?: number;
}

/** A text. */
export function string(description: string, options: TextOptions = {}): TString {
  return Type.String({ description, ...options });
}

/** One of some words. */
export function choice<const Words extends readonly string[]>(
  description: string,
  words: Words,
  options: { readonly default?: Words[number] } = {},
): TUnsafe<Words[number]> {
  return Type.Unsafe<Words[number]>({ type: "string", enum: words, description, ...options });
}

export function boolean(description: string, options: { readonly default?: boolean } = {}): TBoolean {
  return Type.Boolean({ description, ...options });
}

/** A number with a fraction. */
export function number(description: string, options: NumberOptions = {}): TNumber {
  return Type.Number({ description, format: "double", ...options });
}

/** A whole number of 32 bits with a sign. */
export function int32(description: string, options: NumberOptions = {}): TInteger {
  return Type.Integer({ description, format: "int32", ...options });
}

/** A whole number, as large as JSON can say it. */
export function int64(description: string, options: NumberOptions = {}): TInteger {
  return Type.Integer({ description, format: "int64", ...options });
}

/** A whole number of 32 bits without a sign. */
export function uint32(description: string, options: NumberOptions = {}): TInteger {
  return Type.Integer({ description, minimum: 0, maximum: 4294967295, ...options });
}

/** A port number, 1 to 65535. */
export function port(description: string): TInteger {
  return Type.Integer({ description, format: "int32", minimum: 1, maximum: 65535 });
}

/** A duration such as `1h30m` or `250ms`, in Go's form; zero and less are durations too. */
export function duration(description: string): TString {
  return string(description, { format: "duration" });
}

/** A duration of a millisecond or more. */
export function positiveDuration(description: string): TString {
  return string(description, { format: "positive-duration" });
}

/** A time of RFC 3339. */
export function time(description: string): TString {
  return string(description, { format: "date-time" });
}

/** Kubernetes' quantity, such as `500m` or `1Gi`. A submitted number becomes a text. */
export function quantity(description: string): TString {
  return string(description, { format: "quantity" });
}

/** A whole number or a text, such as a port's number or name, or a count or percentage. */
export function intOrString(
  description: string,
  options: { readonly default?: number | string } = {},
): TUnsafe<number | string> {
  return Type.Unsafe<number | string>({
    type: ["integer", "string"],
    [keyword.intOrString]: true,
    description,
    ...options,
  });
}

/** Any JSON object, kept as it is: for parts of Kubernetes' API that Weft only carries. */
export function anyObject(description: string): TUnsafe<Record<string, unknown>> {
  return Type.Unsafe<Record<string, unknown>>({
    type: "object",
    [keyword.preserveUnknown]: true,
    description,
  });
}

/** A list. */
export function list<Item extends TSchema>(description: string, items: Item, options: ListOptions = {}): TArray<Item> {
  return Type.Array(items, { description, ...options });
}

/**
 * A list whose items are told apart by fields of theirs: server-side apply merges it item by item. Custom resources have these;
 * Kubernetes' own kinds have `mergeList`.
 */
export function keyedList<Item extends TSchema>(
  description: string,
  items: Item,
  keys: readonly string[],
  options: ListOptions = {},
): TArray<Item> {
  return Type.Array(items, { description, [keyword.listType]: "map", [keyword.listMapKeys]: keys, ...options });
}

/** A list with keys that is merged by one of them in a strategic merge patch, too. */
export function mergeList<Item extends TSchema>(
  description: string,
  items: Item,
  key: string,
  options: ListOptions & { readonly keys?: readonly string[] } = {},
): TArray<Item> {
  const { keys = [key], ...rest } = options;
  const merged = { [keyword.patchStrategy]: "merge", [keyword.patchMergeKey]: key };
  return { ...keyedList(description, items, keys, rest), ...merged };
}

/** A list of distinct texts, merged as a set in a strategic merge patch. */
export function mergeSet<Item extends TSchema>(description: string, items: Item): TArray<Item> {
  return Type.Array(items, { description, [keyword.patchStrategy]: "merge", [keyword.listType]: "set" });
}

/** An object with free keys. */
export function map<Item extends TSchema>(
  description: string,
  values: Item,
  options: { readonly maxProperties?: number } = {},
): TUnsafe<Record<string, Static<Item>>> {
  return Type.Unsafe<Record<string, Static<Item>>>({
    type: "object",
    additionalProperties: values,
    description,
    ...options,
  });
}

/**
 * An object: the fields that are always there (given by the user, or filled in from their `default`), and those that
 * may be absent.
 */
export function object<const Required extends Fields, const Optional extends Fields>(
  description: string,
  required: Required,
  optional: Optional,
  options: ObjectOptions = {},
): TObject<ObjectFields<Required, Optional>> {
  const { oneOf, open, atomic, ...rest } = options;
  const optionals = Object.fromEntries(Object.entries(optional).map(([name, field]) => [name, Type.Optional(field)]));
  return Type.Object({ ...required, ...optionals } as unknown as ObjectFields<Required, Optional>, {
    description,
    ...(oneOf === undefined ? {} : { [keyword.oneOf]: oneOf }),
    ...(open ? { [keyword.preserveUnknown]: true } : {}),
    ...(atomic ? { [keyword.mapType]: "atomic" } : {}),
    ...rest,
  });
}

/** The same schema with the description of one use of it. */
export function described<Schema extends TSchema>(description: string, schema: Schema): Schema {
  return { ...schema, description };
}

/** The same schema with a strategy for strategic merge patches, such as `retainKeys`: keys that the patch lacks go. */
export function patched<Schema extends TSchema>(strategy: "retainKeys" | "merge,retainKeys", schema: Schema): Schema {
  return { ...schema, [keyword.patchStrategy]: strategy };
}

/** A schema that OpenAPI documents and validation hold once under a name, however often it is used. */
export function definition<Schema extends TSchema>(name: string, schema: Schema): Schema {
  const { description } = schema as { readonly description?: string };
  return { ...schema, [keyword.definition]: { name, description } };
}
