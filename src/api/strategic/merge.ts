import { WeftError } from "#base/errors.ts";
import { canonical } from "#base/canonical.ts";
import type { Kind } from "../kind.ts";
import { ObjectMeta } from "../kubernetes/meta.ts";
import { keyword } from "../schema.ts";
import type { SchemaNode } from "../shape.ts";
import { isObject, type JsonObject } from "../json.ts";
import { parseDirectives, plain } from "./directives.ts";
import { itemKey, mergeItems, orderItems, type ItemKey } from "./list.ts";

/** The schema of a member, as far as it is known. */
function memberOf(node: SchemaNode | undefined, name: string): SchemaNode | undefined {
  return node?.properties?.[name] ?? node?.additionalProperties;
}

function hasStrategy(node: SchemaNode | undefined, strategy: string): boolean {
  const strategies = node?.[keyword.patchStrategy];
  return typeof strategies === "string" && strategies.split(",").includes(strategy);
}

function keyOfItems(node: SchemaNode | undefined): ItemKey {
  const mergeKey = node?.[keyword.patchMergeKey];
  return itemKey(typeof mergeKey === "string" ? mergeKey : undefined);
}

function without(list: readonly unknown[], gone: readonly unknown[]): readonly unknown[] {
  const texts = new Set(gone.map(canonical));
  return list.filter((item) => !texts.has(canonical(item)));
}

function mergeList(
  original: readonly unknown[],
  patch: readonly unknown[],
  order: readonly unknown[] | undefined,
  node: SchemaNode | undefined,
): unknown {
  if (!hasStrategy(node, "merge")) return plain(patch);
  const key = keyOfItems(node);
  const merged = mergeItems(original, patch, key, (item, change) => mergeValue(item, change, node?.items));
  return order === undefined ? merged : orderItems(merged, order, original, key);
}

function mergeValue(original: unknown, patch: unknown, node: SchemaNode | undefined): unknown {
  const merged = isObject(original) && isObject(patch) && !hasStrategy(node, "replace");
  return merged ? mergeObject(original, patch, node) : plain(patch);
}

function mergeObject(original: JsonObject, patch: JsonObject, node: SchemaNode | undefined): JsonObject {
  const { action, retained, removed, orders, fields } = parseDirectives(patch);
  if (action === "replace") return plain(patch) as JsonObject;
  if (action === "delete") return {};
  const members = new Map(Object.entries(original).filter(([name]) => retained?.has(name) ?? true));
  for (const [name, gone] of removed) {
    const list = members.get(name);
    if (Array.isArray(list)) members.set(name, without(list, gone));
  }
  for (const [name, value] of fields) {
    const current = members.get(name);
    const member = memberOf(node, name);
    if (value === null) members.delete(name);
    else if (Array.isArray(current) && Array.isArray(value)) {
      members.set(name, mergeList(current, value, orders.get(name), member));
    } else members.set(name, mergeValue(current, value, member));
  }
  for (const [name, order] of orders) {
    const list = members.get(name);
    const member = memberOf(node, name);
    if (fields.has(name) || !Array.isArray(list) || !hasStrategy(member, "merge")) continue;
    members.set(name, orderItems(list, order, list, keyOfItems(member)));
  }
  return Object.fromEntries(members);
}

/**
 * Applies Kubernetes' strategic merge patch: like a merge patch, but lists that have a merge key in the kind's schema
 * are merged item by item, and directives (`$patch`, `$retainKeys`, `$setElementOrder/...`,
 * `$deleteFromPrimitiveList/...`) steer the rest.
 * @throws WeftError `InvalidArgument` when the patch is malformed.
 */
export function applyStrategicPatch(kind: Kind, target: JsonObject, patch: unknown): JsonObject {
  if (!isObject(patch)) throw new WeftError("InvalidArgument", "the strategic merge patch is not an object");
  const properties = { ...kind.schema.properties, metadata: ObjectMeta } as unknown as Record<string, SchemaNode>;
  return mergeObject(target, patch, { type: "object", properties });
}
