import { isObject, type JsonObject } from "#api/json.ts";
import { ApiError } from "../status.ts";
import type { FieldsType, ItemsType, MergeType } from "./merge-type.ts";
import { fieldElement, itemElement, pathText } from "./path-element.ts";
import { isHollow, itemsByElement, memberType, partsOf } from "./values.ts";

function refuse(path: readonly string[], problem: string): ApiError {
  return new ApiError("BadRequest", `failed to create typed patch object: ${pathText(path)}: ${problem}`);
}

function keyNames({ keys }: ItemsType): string {
  return keys.map(({ label }) => label).join(" ");
}

function elementOf(type: ItemsType, item: unknown, path: readonly string[], index: number): string {
  const element = itemElement(type, item);
  if (element !== undefined) return element;
  const place = [...path, `i:${index}`];
  if (type.keys.length === 0) throw refuse(place, "an item of a set must be a plain value");
  if (!isObject(item)) throw refuse(place, "an item of a list with keys must be an object");
  throw refuse(place, `the item omits all key fields: ${keyNames(type)}`);
}

/** The items of an applied list by their elements. @throws ApiError `BadRequest` where one is there twice or is not one. */
function appliedItems(
  type: ItemsType,
  list: readonly unknown[],
  path: readonly string[],
): ReadonlyMap<string, unknown> {
  const items = new Map<string, unknown>();
  for (const [index, item] of list.entries()) {
    const element = elementOf(type, item, path, index);
    if (items.has(element)) throw refuse(path, `duplicate entries for key ${pathText([element])}`);
    items.set(element, item);
  }
  return items;
}

/**
 * The order of a merged list: applied items stand in the order in which they are applied, and what others have put
 * between them keeps its place after the item that it followed.
 */
function* mergedOrder(
  live: readonly string[],
  applied: ReadonlyMap<string, unknown>,
): Generator<{ readonly element: string; readonly at: number }> {
  const known = new Set(live);
  const shared = [...applied.keys()].filter((element) => known.has(element));
  let [at, nextShared] = [0, 0];
  const others = function* (until: string | undefined): Generator<{ element: string; at: number }> {
    for (; at < live.length; at += 1) {
      const element = live[at] ?? "";
      if (element === until) return;
      if (!applied.has(element)) yield { element, at };
    }
  };
  for (const element of applied.keys()) {
    yield* others(shared[nextShared]);
    yield { element, at: -1 };
    if (element !== shared[nextShared]) continue;
    nextShared += 1;
    if (live[at] === element) at += 1;
  }
  yield* others(undefined);
}

function mergeItems(
  type: ItemsType,
  live: readonly unknown[],
  applied: readonly unknown[],
  path: readonly string[],
): unknown {
  const next = appliedItems(type, applied, path);
  const current = itemsByElement(type, live);
  // What is stored cannot be told apart: it has one owner.
  if (current === undefined) return applied;
  const elements = live.map((item) => itemElement(type, item) ?? "");
  const out: unknown[] = [];
  for (const { element, at } of mergedOrder(elements, next)) {
    if (at >= 0) out.push(live[at]);
    else {
      const same = current.get(element) ?? [];
      const before = same.length === 1 ? same[0] : undefined;
      out.push(mergeValues(before, next.get(element), type.item, [...path, element]));
    }
  }
  return out;
}

function mergeFields(type: FieldsType, live: JsonObject, applied: JsonObject, path: readonly string[]): JsonObject {
  const members = new Map(Object.entries(live));
  for (const [name, value] of Object.entries(applied)) {
    const member = memberType(type, name);
    const inside = [...path, fieldElement(name)];
    if (member === undefined) throw refuse(inside, "field not declared in schema");
    members.set(name, mergeValues(members.get(name), value, member, inside));
  }
  return Object.fromEntries(members);
}

function mergeValues(live: unknown, applied: unknown, type: MergeType, path: readonly string[]): unknown {
  const [old, next] = [partsOf(live, type), partsOf(applied, type)];
  if (next === undefined || (isHollow(old) && isHollow(next))) return applied;
  return next.kind === "fields"
    ? mergeFields(next.type, isObject(live) ? live : {}, next.value, path)
    : mergeItems(next.type, Array.isArray(live) ? live : [], next.value, path);
}

/**
 * An object with what an applied configuration says put into it.
 * @throws ApiError `BadRequest` for a configuration with fields that nobody knows, or with items that are not ones.
 */
export function merge(live: JsonObject, applied: JsonObject, type: FieldsType): JsonObject {
  return mergeFields(type, live, applied, []);
}
