import { isObject, type JsonObject } from "#api/json.ts";
import { itemElement } from "./path-element.ts";
import type { FieldsType, ItemsType, MergeType } from "./merge-type.ts";

/** A value with the way it is merged, where it is made of parts that have owners of their own. */
export type Parts =
  | { readonly kind: "fields"; readonly type: FieldsType; readonly value: JsonObject }
  | { readonly kind: "items"; readonly type: ItemsType; readonly value: readonly unknown[] };

/** The parts of a value; undefined for one that is not made of parts, whatever its schema says. */
export function partsOf(value: unknown, type: MergeType): Parts | undefined {
  if (type.kind === "fields" && isObject(value)) return { kind: "fields", type, value };
  if (type.kind === "items" && Array.isArray(value)) return { kind: "items", type, value };
  return undefined;
}

/** Whether there are no parts: the value itself is then what has an owner. */
export function isHollow(parts: Parts | undefined): boolean {
  if (parts === undefined) return true;
  return parts.kind === "items" ? parts.value.length === 0 : Object.keys(parts.value).length === 0;
}

/** How a member is merged; undefined for one that the schema does not know. */
export function memberType({ fields, others }: FieldsType, name: string): MergeType | undefined {
  return fields.get(name) ?? others;
}

/**
 * The items of a list by their elements, in order; several under one element where they cannot be told apart. Undefined for
 * a list with an item that has no element.
 */
export function itemsByElement(
  type: ItemsType,
  list: readonly unknown[],
): ReadonlyMap<string, readonly unknown[]> | undefined {
  const items = new Map<string, unknown[]>();
  for (const item of list) {
    const element = itemElement(type, item);
    if (element === undefined) return undefined;
    const same = items.get(element);
    if (same === undefined) items.set(element, [item]);
    else same.push(item);
  }
  return items;
}
