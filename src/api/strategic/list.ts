import { WeftError } from "#base/errors.ts";
import { canonical } from "#base/canonical.ts";
import { isObject } from "../json.ts";
import { isDeletion, isReplacement, plain } from "./directives.ts";

/** How the items of a list are told apart: by a field of theirs, or plain values by themselves. */
export type ItemKey = (item: unknown) => string;

/** The key of items that are objects, by a field; of plain values, themselves. */
export function itemKey(mergeKey: string | undefined): ItemKey {
  return (item) => {
    if (mergeKey === undefined || !isObject(item)) return canonical(item);
    if (item[mergeKey] !== undefined) return canonical(item[mergeKey]);
    const text = canonical(item);
    throw new WeftError(
      "InvalidArgument",
      `the strategic merge patch meets a list item without its key "${mergeKey}": ${text}`,
    );
  };
}

/** Merges a patch's list into a list, item by item. */
export function mergeItems(
  original: readonly unknown[],
  patch: readonly unknown[],
  key: ItemKey,
  merge: (item: unknown, patch: unknown) => unknown,
): readonly unknown[] {
  if (patch.some(isReplacement)) return patch.filter((item) => !isReplacement(item)).map(plain);
  const items = new Map(original.map((item) => [key(item), item]));
  for (const item of patch) {
    const place = key(item);
    if (isDeletion(item)) items.delete(place);
    else items.set(place, items.has(place) ? merge(items.get(place), item) : plain(item));
  }
  return [...items.values()];
}

/**
 * Puts merged items into the order that a patch asks for. Items that the patch does not name stay before those that
 * they stood before.
 * @param order the wanted order, as items or their keys.
 * @param original the list before the patch.
 */
export function orderItems(
  merged: readonly unknown[],
  order: readonly unknown[],
  original: readonly unknown[],
  key: ItemKey,
): readonly unknown[] {
  const wanted = new Map(order.map((item, index) => [key(item), index]));
  const before = new Map(original.map((item, index) => [key(item), index]));
  const place = (item: unknown): number => wanted.get(key(item)) ?? -1;
  const named = merged.filter((item) => place(item) >= 0).toSorted((a, b) => place(a) - place(b));
  const others = merged.filter((item) => place(item) < 0);
  const result: unknown[] = [];
  for (const item of named) {
    // A new item has no place that others could stand before.
    const at = before.get(key(item)) ?? -1;
    const count = others.findIndex((other) => (before.get(key(other)) ?? 0) >= at);
    result.push(...others.splice(0, count === -1 ? others.length : count), item);
  }
  return [...result, ...others];
}
