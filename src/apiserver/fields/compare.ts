import { equal } from "#base/canonical.ts";
import type { FieldSet } from "#api/meta.ts";
import { isObject } from "#api/json.ts";
import { leaf, nodeOf, noFields } from "./field-set.ts";
import type { FieldsType, ItemsType, MergeType } from "./merge-type.ts";
import { fieldElement } from "./path-element.ts";
import { isHollow, itemsByElement, memberType, partsOf, type Parts } from "./values.ts";

/** What tells one object from another, as sets of fields. */
export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

type Change = keyof Comparison;

/** The same of a value inside, of which most are equal. */
type Node = Partial<Comparison>;

/** The changes below a value, while they are gathered. */
class Below {
  readonly #nodes: { [change in Change]?: Record<string, FieldSet> } = {};

  add(element: string, node: Node): void {
    this.put("added", element, node.added);
    this.put("modified", element, node.modified);
    this.put("removed", element, node.removed);
  }

  put(change: Change, element: string, node: FieldSet | undefined): void {
    if (node === undefined) return;
    (this.#nodes[change] ??= {})[element] = node;
  }

  /** What is gathered, with the change of the value itself if it has one. */
  node(own: Change | undefined): Node | undefined {
    const { added, modified, removed } = this.#nodes;
    if (own === undefined && added === undefined && modified === undefined && removed === undefined) return undefined;
    const node: { [change in Change]?: FieldSet } = {};
    for (const change of ["added", "modified", "removed"] as const) {
      const found = nodeOf(own === change, this.#nodes[change]);
      if (found !== undefined) node[change] = found;
    }
    return node;
  }
}

function compareWhole(before: unknown, after: unknown): Node | undefined {
  if (before === undefined) return { added: leaf };
  if (after === undefined) return { removed: leaf };
  return equal(before, after) ? undefined : { modified: leaf };
}

function compareMember(type: FieldsType, name: string, before: unknown, after: unknown, below: Below): void {
  const member = memberType(type, name);
  const node = member === undefined ? undefined : compareValues(before, after, member);
  if (node !== undefined) below.add(fieldElement(name), node);
}

function compareFields(type: FieldsType, before: unknown, after: unknown, below: Below): void {
  const [old, now] = [isObject(before) ? before : {}, isObject(after) ? after : {}];
  for (const name of Object.keys(old)) {
    const [value, next] = [old[name], Object.hasOwn(now, name) ? now[name] : undefined];
    if (value !== next) compareMember(type, name, value, next, below);
  }
  for (const name of Object.keys(now)) {
    if (!Object.hasOwn(old, name)) compareMember(type, name, undefined, now[name], below);
  }
}

/** Items that cannot be told from one another are one value: all that have the element. */
function compareItem(
  { item }: ItemsType,
  element: string,
  before: readonly unknown[],
  after: readonly unknown[],
  below: Below,
): void {
  const [several, now] = [before.length > 1, after.length > 1];
  if (several && now) {
    if (!equal(before, after)) below.put("modified", element, leaf);
    return;
  }
  if (several) below.put("removed", element, leaf);
  if (now) below.put("added", element, leaf);
  const [old, next] = [several ? undefined : before[0], now ? undefined : after[0]];
  const node = old === next ? undefined : compareValues(old, next, item);
  if (node !== undefined) below.add(element, node);
}

/** @returns whether the items could be told apart. */
function compareItems(type: ItemsType, before: unknown, after: unknown, below: Below): boolean {
  const old = itemsByElement(type, Array.isArray(before) ? before : []);
  const now = itemsByElement(type, Array.isArray(after) ? after : []);
  if (old === undefined || now === undefined) return false;
  for (const [element, items] of old) compareItem(type, element, items, now.get(element) ?? [], below);
  for (const [element, items] of now) if (!old.has(element)) compareItem(type, element, [], items, below);
  return true;
}

function ownChange(before: unknown, after: unknown, parts: readonly (Parts | undefined)[]): Change | undefined {
  if (before === undefined) return "added";
  if (after === undefined) return "removed";
  // One of them has no parts: it is another sort of value.
  return parts.includes(undefined) ? "modified" : undefined;
}

function compareValues(before: unknown, after: unknown, type: MergeType): Node | undefined {
  if (before === after) return undefined;
  if (type.kind === "leaf") return compareWhole(before, after);
  const [old, now] = [partsOf(before, type), partsOf(after, type)];
  if (isHollow(old) && isHollow(now)) return compareWhole(before, after);
  const below = new Below();
  if (type.kind === "fields") compareFields(type, before, after, below);
  else if (!compareItems(type, before, after, below)) return compareWhole(before, after);
  return below.node(ownChange(before, after, [old, now]));
}

/**
 * Compares two objects of a kind, field by field as fields have owners. Time and memory follow the objects' size.
 * @param type how objects of the kind are merged.
 */
export function compare(before: unknown, after: unknown, type: FieldsType): Comparison {
  const below = new Below();
  compareFields(type, before, after, below);
  const { added = noFields, modified = noFields, removed = noFields } = below.node(undefined) ?? {};
  return { added, modified, removed };
}
