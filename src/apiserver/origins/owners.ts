import type { FieldSet, ManagedFieldsEntry, ObjectMeta, OwnerReference, ResourceObject } from "#api/meta.ts";
import { groupOf } from "#api/meta.ts";
import type { Kind } from "#api/kind.ts";
import { originOf, type Context } from "../context.ts";
import { difference, intersection, isEmpty, leaf, union } from "../fields/field-set.ts";
import { entryOf, inOrder, sameManager } from "../fields/managers.ts";

/*
 * Objects of the mesh are shown in several clusters, each with a garbage collector of its own that deletes what names an owner which it
 * does not find. So a reference to an owner in one cluster is shown there alone, and one to an object that only the mesh has, at the
 * mesh's own endpoint alone. References to objects of the mesh that all clusters see are shown everywhere.
 */

/** What tells endpoints apart here. */
type Viewer = Pick<Context, "view" | "endpoint" | "kinds">;

/** Whether clusters see the owner that a reference names as the mesh does. */
function isShared({ apiVersion, kind }: OwnerReference, { kinds }: Viewer): boolean {
  return kinds.named(groupOf(apiVersion), kind)?.home === "mesh";
}

/** Whether an endpoint shows a reference. */
function isShown(reference: OwnerReference, viewer: Viewer): boolean {
  if (reference.cluster !== undefined) return reference.cluster === originOf(viewer);
  // Embedded clusters have no garbage collector beside the mesh's own.
  return viewer.view !== "member" || isShared(reference, viewer);
}

/** The references that an endpoint does not show. */
export function hiddenOwners({ ownerReferences = [] }: ObjectMeta, viewer: Viewer): readonly OwnerReference[] {
  return ownerReferences.filter((reference) => !isShown(reference, viewer));
}

/** References to objects of the mesh: those that its own collector goes by. */
export function sharedOwners({ ownerReferences = [] }: ObjectMeta): readonly OwnerReference[] {
  return ownerReferences.filter(({ cluster }) => cluster === undefined);
}

/** The fields that some references are. */
function fieldsOf(references: readonly OwnerReference[]): FieldSet {
  const items = references.map(({ uid }): [string, FieldSet] => [`k:${JSON.stringify({ uid })}`, leaf]);
  return { "f:metadata": { "f:ownerReferences": Object.fromEntries(items) } };
}

function withOwners(
  metadata: ObjectMeta,
  ownerReferences: readonly OwnerReference[],
  managedFields: readonly ManagedFieldsEntry[] | undefined,
): ObjectMeta {
  const { ownerReferences: _, managedFields: __, ...rest } = metadata;
  return {
    ...rest,
    ...(ownerReferences.length === 0 ? {} : { ownerReferences }),
    ...(managedFields === undefined || managedFields.length === 0 ? {} : { managedFields }),
  };
}

/** Entries without some fields; who manages nothing else is not there. */
function entriesWithout(entries: readonly ManagedFieldsEntry[], hidden: FieldSet): readonly ManagedFieldsEntry[] {
  return entries.flatMap((entry) => {
    const left = difference(entry.fieldsV1, hidden);
    return left === entry.fieldsV1 ? [entry] : isEmpty(left) ? [] : [{ ...entry, fieldsV1: left }];
  });
}

/** Entries with those fields of others that are among some. */
function entriesWith(
  entries: readonly ManagedFieldsEntry[],
  others: readonly ManagedFieldsEntry[],
  hidden: FieldSet,
): readonly ManagedFieldsEntry[] {
  const out = [...entries];
  for (const other of others) {
    const fields = intersection(other.fieldsV1, hidden);
    if (isEmpty(fields)) continue;
    const at = out.findIndex((entry) => sameManager(entry, other));
    const known = out[at];
    if (known === undefined) out.push(entryOf(other, fields, other.time));
    else out[at] = { ...known, fieldsV1: union(known.fieldsV1, fields) };
  }
  return inOrder(out);
}

/** Objects as endpoints show them, where that is not as they are stored. */
const shown = new WeakMap<ResourceObject, Map<string, ResourceObject>>();

function withoutCluster(reference: OwnerReference): OwnerReference {
  const { cluster: _, ...rest } = reference;
  return rest;
}

function show(object: ResourceObject, viewer: Viewer): ResourceObject {
  const { metadata } = object;
  const hidden = fieldsOf(hiddenOwners(metadata, viewer));
  const owners = (metadata.ownerReferences ?? []).filter((reference) => isShown(reference, viewer)).map(withoutCluster);
  const entries = metadata.managedFields && entriesWithout(metadata.managedFields, hidden);
  return { ...object, metadata: withOwners(metadata, owners, entries) };
}

/** An object as an endpoint shows it: without owners that it does not have. */
export function asSeen(object: ResourceObject, viewer: Viewer): ResourceObject {
  const { ownerReferences = [] } = object.metadata;
  if (ownerReferences.every((reference) => reference.cluster === undefined && isShown(reference, viewer)))
    return object;
  const place = `${viewer.view}/${viewer.endpoint}`;
  let views = shown.get(object);
  if (views === undefined) shown.set(object, (views = new Map()));
  let view = views.get(place);
  if (view === undefined) views.set(place, (view = show(object, viewer)));
  return view;
}

/** The references of a cluster's clients, each with its cluster unless every cluster sees the owner. */
function marked(references: readonly OwnerReference[], viewer: Viewer, origin: string): readonly OwnerReference[] {
  return references.map((reference) => (isShared(reference, viewer) ? reference : { ...reference, cluster: origin }));
}

/** References where they stood before, and new ones behind them: a write that changes nothing stores the same. */
function inStoredOrder(
  own: readonly OwnerReference[],
  hidden: readonly OwnerReference[],
  before: readonly OwnerReference[],
): readonly OwnerReference[] {
  const left = new Map(
    [...hidden, ...own].map((reference) => [`${reference.cluster ?? ""}|${reference.uid}`, reference]),
  );
  const placed = before.flatMap(({ cluster = "", uid }) => {
    const key = `${cluster}|${uid}`;
    const reference = left.get(key);
    left.delete(key);
    return reference === undefined ? [] : [reference];
  });
  return [...placed, ...left.values()];
}

/**
 * An object as it is stored, from what an endpoint's client wants it to be.
 * @param before as it was stored; undefined for a new one.
 */
export function asStored(
  context: Context,
  kind: Kind,
  object: ResourceObject,
  before: ResourceObject | undefined,
): ResourceObject {
  if (kind.home !== "mesh") return object;
  const origin = originOf(context);
  const { metadata } = object;
  const hidden = before === undefined ? [] : hiddenOwners(before.metadata, context);
  const own = metadata.ownerReferences ?? [];
  if (hidden.length === 0 && own.length === 0) return object;
  const owners = inStoredOrder(
    origin === undefined ? own : marked(own, context, origin),
    hidden,
    before?.metadata.ownerReferences ?? [],
  );
  const entries =
    hidden.length === 0
      ? metadata.managedFields
      : entriesWith(metadata.managedFields ?? [], before?.metadata.managedFields ?? [], fieldsOf(hidden));
  return { ...object, metadata: withOwners(metadata, owners, entries) };
}
