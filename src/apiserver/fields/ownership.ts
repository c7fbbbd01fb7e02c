import type { FieldSet, ManagedFieldsEntry, ResourceObject } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import type { JsonObject } from "#api/json.ts";
import { compare, type Comparison } from "./compare.ts";
import { applyConflict, type FieldConflict } from "./conflict.ts";
import { difference, intersection, isEmpty, leaf, noFields, only, pathsOf, union, without } from "./field-set.ts";
import { fieldsOf } from "./fields-of.ts";
import { capped, entryOf, inOrder, sameManager, type ManagerId } from "./managers.ts";
import type { FieldsType } from "./merge-type.ts";
import { merge } from "./merge.ts";
import { prune } from "./prune.ts";

/** Whom all fields are of that were there before anybody applied anything. Kubernetes' name. */
const beforeFirstApply = "before-first-apply";

/** What a write is about. */
export interface Writing {
  readonly type: FieldsType;
  readonly by: ManagerId;
  /** Which part of the object it can write; `all` for kinds whose status is written with all else. */
  readonly part: "specification" | "status" | "all";
  /** The time of the write as objects have it. */
  readonly time: string;
  /** Whether a version of the API is still served; who wrote in one that is not manages nothing any more. */
  readonly served: (apiVersion: string) => boolean;
}

/** Fields that are nobody's, whoever sends them. */
const stripped: FieldSet = {
  "f:apiVersion": leaf,
  "f:kind": leaf,
  "f:metadata": {
    ".": leaf,
    "f:name": leaf,
    "f:namespace": leaf,
    "f:creationTimestamp": leaf,
    "f:selfLink": leaf,
    "f:uid": leaf,
    "f:clusterName": leaf,
    "f:generation": leaf,
    "f:managedFields": leaf,
    "f:resourceVersion": leaf,
  },
};

/** Of a set, what the write's part of the object has. */
function ofPart(set: FieldSet, { part }: Writing): FieldSet {
  switch (part) {
    case "specification":
      return without(set, "f:status");
    case "status":
      return only(set, "f:status");
    case "all":
      return set;
  }
}

function comparePart(before: JsonObject, after: JsonObject, writing: Writing): Comparison {
  const { added, modified, removed } = compare(before, after, writing.type);
  return { added: ofPart(added, writing), modified: ofPart(modified, writing), removed: ofPart(removed, writing) };
}

/** Of an object, what the write can change. */
function writtenPart({ status, ...rest }: JsonObject, { part }: Writing): unknown {
  switch (part) {
    case "specification":
      return rest;
    case "status":
      return status;
    case "all":
      return { status, ...rest };
  }
}

function isSame({ added, modified, removed }: Comparison): boolean {
  return isEmpty(added) && isEmpty(modified) && isEmpty(removed);
}

/** Entries without what somebody else changed. */
function withoutFields(entries: readonly ManagedFieldsEntry[], gone: FieldSet): readonly ManagedFieldsEntry[] {
  if (isEmpty(gone)) return entries;
  return entries
    .map((entry) => {
      const fields = difference(entry.fieldsV1, gone);
      return fields === entry.fieldsV1 ? entry : { ...entry, fieldsV1: fields };
    })
    .filter(({ fieldsV1 }) => !isEmpty(fieldsV1));
}

/**
 * Who manages which fields after a write that is no application: the writer all that it changed, others what they had but
 * for that. An object without entries gets none: it is only watched over from its first application on.
 * @param before the stored object; undefined for a new one.
 * @param entries what the write begins with.
 */
export function updateOwners(
  before: ResourceObject | undefined,
  after: JsonObject,
  entries: readonly ManagedFieldsEntry[],
  writing: Writing,
): readonly ManagedFieldsEntry[] {
  if (before !== undefined && entries.length === 0) return entries;
  const { by, time, served } = writing;
  const known = entries.every(({ apiVersion }) => served(apiVersion))
    ? entries
    : entries.filter(({ apiVersion }) => served(apiVersion));
  const changes = comparePart(before ?? {}, after, writing);
  if (isSame(changes)) return known;
  const taken = union(changes.added, changes.modified);
  const mine = known.find((entry) => sameManager(entry, by));
  const others = known.filter((entry) => entry !== mine);
  const left = withoutFields(others, union(taken, changes.removed));
  const kept = mine === undefined ? noFields : difference(mine.fieldsV1, changes.removed);
  const own = difference(taken, stripped);
  const fields = union(kept, own);
  if (isEmpty(fields)) return inOrder(capped(left));
  const at = isEmpty(own) ? mine?.time : time;
  const same = mine !== undefined && mine.fieldsV1 === fields && mine.time === at;
  return inOrder(capped([...left, same ? mine : entryOf(by, fields, at)]));
}

/** What an application leaves. */
export interface Applied {
  /** The stored object with what was applied, and without what was not any more. */
  readonly object: JsonObject;
  readonly entries: readonly ManagedFieldsEntry[];
}

/** Entries of an object that is applied to: without any, all that is there is somebody's. */
function entriesBefore(before: ResourceObject | undefined, writing: Writing): readonly ManagedFieldsEntry[] {
  const entries = before?.metadata.managedFields ?? [];
  if (before === undefined || entries.length > 0) return entries;
  const by: ManagerId = { ...writing.by, manager: beforeFirstApply, operation: "Update" };
  return updateOwners(undefined, before, [], { ...writing, by });
}

function conflictsOf(entries: readonly ManagedFieldsEntry[], taken: FieldSet): readonly FieldConflict[] {
  return entries.flatMap((manager) =>
    [...pathsOf(intersection(manager.fieldsV1, taken))].map((path) => ({ manager, path })),
  );
}

/**
 * Applies a configuration: Kubernetes' server-side apply. What it says is put into the object and becomes the applier's; what
 * the applier owned before and does not say any more goes, unless others own it too.
 * @param before the stored object; undefined where there is none.
 * @param allowed conflicts that are none, as fields; all of them where it is forced.
 * @throws ApiError `Conflict` where it changes what others manage, `BadRequest` for a configuration that cannot be merged.
 */
export function applyConfiguration(
  before: ResourceObject | undefined,
  configuration: JsonObject,
  allowed: (conflicts: readonly FieldConflict[]) => readonly FieldConflict[],
  writing: Writing,
): Applied {
  const { type, by, time, served } = writing;
  const live: JsonObject = before ?? {};
  const known = entriesBefore(before, writing).filter(({ apiVersion }) => served(apiVersion));
  const last = known.find((entry) => sameManager(entry, by));
  const others = known.filter((entry) => entry !== last);
  const fields = difference(ofPart(fieldsOf(configuration, type), writing), stripped);
  const merged = merge(live, configuration, type);
  const owned = others.reduce((set, { fieldsV1 }) => union(set, fieldsV1), fields);
  const object = last === undefined ? merged : prune(merged, last.fieldsV1, owned, type);
  const changes = comparePart(live, object, writing);
  const taken = union(changes.added, changes.modified);
  const refused = allowed(conflictsOf(others, taken));
  if (refused.length > 0) throw applyConflict(refused);
  const left = withoutFields(others, union(taken, changes.removed));
  // Who takes part in what is there already changes nothing: as in Kubernetes, that has no time of its own.
  const idle = isSame(changes) && equal(writtenPart(live, writing), writtenPart(object, writing));
  const mine = entryOf(by, fields, idle ? last?.time : time);
  return { object, entries: inOrder(isEmpty(fields) ? left : [...left, mine]) };
}
