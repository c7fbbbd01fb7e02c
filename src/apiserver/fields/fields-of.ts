import type { FieldSet } from "#api/meta.ts";
import type { JsonObject } from "#api/json.ts";
import { leaf, nodeOf } from "./field-set.ts";
import type { FieldsType, ItemsType, MergeType } from "./merge-type.ts";
import { fieldElement } from "./path-element.ts";
import { isHollow, itemsByElement, memberType, partsOf } from "./values.ts";

function members(type: FieldsType, value: JsonObject): Record<string, FieldSet> {
  const below: Record<string, FieldSet> = {};
  for (const [name, member] of Object.entries(value)) {
    const known = memberType(type, name);
    if (known === undefined) continue;
    const parts = partsOf(member, known);
    // A key of a map is there by itself, and so is an empty object; a field of a structure is not.
    const own = !type.fields.has(name) || member === null || (parts?.kind === "fields" && isHollow(parts));
    const node = nodeOfValue(member, known, own);
    if (node !== undefined) below[fieldElement(name)] = node;
  }
  return below;
}

function items(type: ItemsType, list: readonly unknown[]): Record<string, FieldSet> | undefined {
  const known = itemsByElement(type, list);
  if (known === undefined) return undefined;
  const below: Record<string, FieldSet> = {};
  for (const [element, same] of known) {
    below[element] = same.length > 1 ? leaf : (nodeOfValue(same[0], type.item, true) ?? leaf);
  }
  return below;
}

/** @param own the value has an owner beside those of its parts. */
function nodeOfValue(value: unknown, type: MergeType, own: boolean): FieldSet | undefined {
  const parts = partsOf(value, type);
  if (parts === undefined) return leaf;
  const below = parts.kind === "fields" ? members(parts.type, parts.value) : items(parts.type, parts.value);
  return below === undefined ? leaf : nodeOf(own, below);
}

/** The fields that an object sets. */
export function fieldsOf(object: JsonObject, type: FieldsType): FieldSet {
  return members(type, object);
}
