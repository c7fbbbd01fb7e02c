import type { FieldSet } from "#api/meta.ts";
import type { JsonObject } from "#api/json.ts";
import { difference, elementsOf, intersection, isEmpty, isMember, leaf, nodeOf, union } from "./field-set.ts";
import { fieldsOf } from "./fields-of.ts";
import type { FieldsType, MergeType } from "./merge-type.ts";
import { fieldElement, itemElement } from "./path-element.ts";
import { memberType, partsOf } from "./values.ts";

/** A value without the fields of a set: empty where it loses all its parts but is not itself in the set; undefined for none. */
function removeFrom(value: unknown, gone: FieldSet, type: MergeType): unknown {
  const parts = partsOf(value, type);
  if (parts === undefined) return type.kind === "leaf" && typeof value === "object" ? undefined : value;
  const keep = (element: string | undefined, part: unknown, of: MergeType | undefined): unknown => {
    const node = element === undefined ? undefined : gone[element];
    if (node === undefined || of === undefined) return part;
    return isMember(node) ? undefined : removeFrom(part, node, of);
  };
  if (parts.kind === "items") {
    const { item } = parts.type;
    const left = parts.value.map((one) => keep(itemElement(parts.type, one), one, item));
    return left.filter((one) => one !== undefined);
  }
  const members = Object.entries(parts.value)
    .map(([name, member]) => [name, keep(fieldElement(name), member, memberType(parts.type, name))] as const)
    .filter(([, member]) => member !== undefined);
  return Object.fromEntries(members);
}

function remove(object: JsonObject, gone: FieldSet, type: FieldsType): JsonObject {
  return isEmpty(gone) ? object : ((removeFrom(object, gone, type) ?? {}) as JsonObject);
}

function typeBelow(type: MergeType | undefined, element: string): MergeType | undefined {
  if (type?.kind === "items") return element.startsWith("k:") ? type.item : undefined;
  return type?.kind === "fields" && element.startsWith("f:") ? memberType(type, element.slice(2)) : undefined;
}

/** The set with the structures around its fields: a structure whose fields one applied is that one's, too. */
function withStructures(set: FieldSet, type: MergeType | undefined): FieldSet {
  const out: Record<string, FieldSet> = {};
  for (const element of elementsOf(set)) {
    const node = set[element] ?? leaf;
    const structure = type?.kind === "fields" && element.startsWith("f:") && type.fields.has(element.slice(2));
    const below = withStructures(node, typeBelow(type, element));
    const found = nodeOf(structure || isMember(node), below);
    if (found !== undefined) out[element] = found;
  }
  return out;
}

/**
 * Takes out of a merged object what its applier applied the last time and does not any more, as far as nobody else owns it.
 * @param last what the applier owned before.
 * @param owned what all managers own now, the applier's new configuration among it.
 */
export function prune(merged: JsonObject, last: FieldSet, owned: FieldSet, type: FieldsType): JsonObject {
  if (isEmpty(difference(last, owned))) return merged;
  const gone = withStructures(last, type);
  const all = withStructures(fieldsOf(merged, type), type);
  const fieldsLeft = (object: JsonObject): FieldSet => withStructures(fieldsOf(object, type), type);
  // What others own inside of what goes stays,
  const kept = union(fieldsLeft(remove(merged, gone, type)), withStructures(owned, type));
  const stays = remove(merged, difference(all, kept), type);
  // and so does what nobody owns, unless what it stands in goes.
  return remove(merged, intersection(difference(all, union(fieldsLeft(stays), kept)), gone), type);
}
