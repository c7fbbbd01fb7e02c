import type { FieldSet } from "#api/meta.ts";

/** The element that stands for a node itself, among those of what is below it. */
const itself = ".";

/** A field that is in a set, with nothing below it that is. */
export const leaf: FieldSet = Object.freeze({});

/** The set without fields. */
export const noFields: FieldSet = Object.freeze({});

/** Whether a node or a set has no elements. */
export function isEmpty(node: FieldSet): boolean {
  for (const _ in node) return false;
  return true;
}

/** Whether the field that a node stands for is in the set itself, and not only fields below it. */
export function isMember(node: FieldSet): boolean {
  return isEmpty(node) || itself in node;
}

/** What is below a node: its elements but the one that stands for itself. */
export function elementsOf(node: FieldSet): readonly string[] {
  return Object.keys(node).filter((element) => element !== itself);
}

/** A node with what is below it; undefined where nothing of it is in the set. */
export function nodeOf(member: boolean, below: FieldSet | undefined): FieldSet | undefined {
  if (below === undefined || isEmpty(below)) return member ? leaf : undefined;
  return member ? { [itself]: leaf, ...below } : below;
}

function below(node: FieldSet): FieldSet {
  if (!(itself in node)) return node;
  const { [itself]: _, ...rest } = node;
  return rest;
}

function joined(a: FieldSet, b: FieldSet): FieldSet {
  let out: Record<string, FieldSet> | undefined;
  for (const element in b) {
    const node = b[element] ?? leaf;
    const mine = a[element];
    const both = mine === undefined ? node : nodeUnion(mine, node);
    if (both === mine) continue;
    out ??= { ...a };
    out[element] = both;
  }
  return out ?? a;
}

function withItself(node: FieldSet): FieldSet {
  return isMember(node) ? node : { [itself]: leaf, ...node };
}

function nodeUnion(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(b)) return withItself(a);
  return isEmpty(a) ? withItself(b) : joined(a, b);
}

/** What is in either set; the first itself where the second adds nothing. */
export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(a)) return b;
  return isEmpty(b) ? a : joined(a, b);
}

function nodeIntersection(a: FieldSet, b: FieldSet): FieldSet | undefined {
  return nodeOf(isMember(a) && isMember(b), intersection(below(a), below(b)));
}

/** What is in both sets. */
export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const out: Record<string, FieldSet> = {};
  for (const element in a) {
    const node = a[element] ?? leaf;
    const other = b[element];
    const both = other === undefined ? undefined : nodeIntersection(node, other);
    if (both !== undefined) out[element] = both;
  }
  return out;
}

function nodeDifference(a: FieldSet, b: FieldSet): FieldSet | undefined {
  const [mine, other] = [below(a), below(b)];
  const left = isEmpty(mine) || isEmpty(other) ? mine : difference(mine, other);
  const goes = isMember(a) && isMember(b);
  return left === mine && !goes ? a : nodeOf(isMember(a) && !goes, left);
}

/** What is in the first set and not in the second, field by field; the first itself where nothing goes. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  let out: Map<string, FieldSet> | undefined;
  for (const element in b) {
    const node = b[element] ?? leaf;
    const mine = a[element];
    const left = mine === undefined ? undefined : nodeDifference(mine, node);
    if (left === mine) continue;
    out ??= new Map(Object.entries(a));
    if (left === undefined) out.delete(element);
    else out.set(element, left);
  }
  return out === undefined ? a : Object.fromEntries(out);
}

/** The set without some of its topmost elements and all below them. */
export function without(set: FieldSet, element: string): FieldSet {
  if (!(element in set)) return set;
  const { [element]: _, ...rest } = set;
  return rest;
}

/** What is in a set below one of its topmost elements. */
export function only(set: FieldSet, element: string): FieldSet {
  const node = set[element];
  return node === undefined ? noFields : { [element]: node };
}

/** The paths of a set's fields, as lists of elements, in Kubernetes' order: what is in the set itself before what is below. */
export function* pathsOf(set: FieldSet, above: readonly string[] = []): Generator<readonly string[]> {
  const nodes = elementsOf(set)
    .toSorted()
    .map((element) => ({ path: [...above, element], node: set[element] ?? leaf }));
  for (const { path, node } of nodes) if (isMember(node)) yield path;
  for (const { path, node } of nodes) yield* pathsOf(node, path);
}
