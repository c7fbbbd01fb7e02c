import { type FieldSet, type ResourceObject } from "#api/meta.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { compare } from "./compare.ts";
import type { FieldConflict } from "./conflict.ts";
import { difference, isMember, noFields } from "./field-set.ts";
import { fieldsOf } from "./fields-of.ts";
import type { FieldsType } from "./merge-type.ts";

/** By this annotation kubectl remembers what it applied itself, without the server. */
const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

/** The manager that kubectl is when it lets the server apply. */
export const kubectl = "kubectl";

/** The largest that an object's annotations may be, in bytes. */
const mostAnnotations = 256 * 1024;

/** What kubectl applied itself the last time and still stands in the object. */
function stillApplied(object: ResourceObject, type: FieldsType): FieldSet {
  const text = object.metadata.annotations?.[lastAppliedAnnotation] ?? "";
  const applied = parsed(text);
  if (applied === undefined || applied["apiVersion"] !== object.apiVersion) return noFields;
  const { added, modified, removed } = compare(applied, object, type);
  return [added, modified, removed].reduce(difference, fieldsOf(applied, type));
}

function parsed(text: string): JsonObject | undefined {
  try {
    const value: unknown = text === "" ? undefined : JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function has(set: FieldSet, path: readonly string[]): boolean {
  let node: FieldSet | undefined = set;
  for (const element of path) node = node?.[element];
  return node !== undefined && isMember(node);
}

/**
 * Conflicts that remain when kubectl begins to let the server apply what it applied itself before: none where all it takes over
 * is what it wrote.
 * @param object the stored one in the version asked for.
 */
export function withoutOwn(
  object: ResourceObject,
  conflicts: readonly FieldConflict[],
  type: FieldsType,
): readonly FieldConflict[] {
  if (conflicts.length === 0) return conflicts;
  const own = stillApplied(object, type);
  return conflicts.filter(({ path }) => !has(own, path));
}

/** An object in which kubectl's own memory of what it applied is as new as what the server applied for it, if it has one. */
export function withLastApplied(object: JsonObject, configuration: JsonObject): JsonObject {
  const metadata = isObject(object["metadata"]) ? object["metadata"] : {};
  const annotations = isObject(metadata["annotations"]) ? metadata["annotations"] : {};
  if ((annotations[lastAppliedAnnotation] ?? "") === "") return object;
  const text = `${JSON.stringify(withoutAnnotation(configuration))}\n`;
  const { [lastAppliedAnnotation]: _, ...others } = annotations;
  const size = Buffer.byteLength(JSON.stringify(others)) + Buffer.byteLength(text);
  const next = size > mostAnnotations ? others : { ...others, [lastAppliedAnnotation]: text };
  return { ...object, metadata: { ...metadata, annotations: next } };
}

function withoutAnnotation(configuration: JsonObject): JsonObject {
  const metadata = isObject(configuration["metadata"]) ? configuration["metadata"] : {};
  const { annotations, ...rest } = metadata;
  if (!isObject(annotations)) return configuration;
  const { [lastAppliedAnnotation]: _, ...others } = annotations;
  return { ...configuration, metadata: { ...rest, annotations: others } };
}
