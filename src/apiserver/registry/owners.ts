import { timestamp } from "#base/timestamp.ts";
import { apiVersionOf, type ManagedFieldsEntry, type ResourceObject } from "#api/meta.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import type { Context } from "../context.ts";
import type { FieldConflict } from "../fields/conflict.ts";
import { kubectl, withLastApplied, withoutOwn } from "../fields/last-applied.ts";
import { readManagers, validateManagers } from "../fields/managers.ts";
import { applyConfiguration, updateOwners, type Applied, type Writing } from "../fields/ownership.ts";
import { ApiError, invalid } from "../status.ts";
import type { Target, WriteOptions } from "./target.ts";

/** Who manages what the server writes by itself. */
const itself = "weft";

/** A configuration to apply. */
export interface Configuration {
  /** As submitted, without members that are null. */
  readonly fields: JsonObject;
  /** Take fields over that others manage. */
  readonly force: boolean;
}

/** What a write changes: the object but for its status, or its status. */
export type Part = "specification" | "status";

function writingOf(
  context: Context,
  { kind, version }: Target,
  part: Part,
  options: WriteOptions,
  operation: ManagedFieldsEntry["operation"],
): Writing {
  const { manager = itself, subresource = "" } = options;
  return {
    type: context.mergeTypes.of(kind),
    by: { manager, operation, apiVersion: apiVersionOf(kind.group, version), subresource },
    part: kind.status ? part : "all",
    time: timestamp(context.clock.now()),
    served: (apiVersion) => kind.versions.some(({ name }) => apiVersionOf(kind.group, name) === apiVersion),
  };
}

/** Where managers stand in an object; nowhere where there are none. */
export function managersMember(entries: readonly ManagedFieldsEntry[]): {
  readonly managedFields?: readonly ManagedFieldsEntry[];
} {
  return entries.length === 0 ? {} : { managedFields: entries };
}

/** The managers of a new object that somebody made. */
export function ownersOfNew(
  context: Context,
  target: Target,
  object: ResourceObject,
  options: WriteOptions,
): readonly ManagedFieldsEntry[] {
  return updateOwners(undefined, object, [], writingOf(context, target, "specification", options, "Update"));
}

/**
 * The managers of an object after a change that is no application.
 * @param wanted the object as its writer wants it; through a subresource nobody can say who manages what.
 * @throws ApiError `Invalid` for managers that cannot be.
 */
export function ownersAfter(
  context: Context,
  target: Target,
  part: Part,
  options: WriteOptions,
  objects: { readonly before: ResourceObject; readonly after: ResourceObject; readonly wanted: JsonObject },
): readonly ManagedFieldsEntry[] {
  const { before, after, wanted } = objects;
  const stored = before.metadata.managedFields ?? [];
  const metadata = isObject(wanted["metadata"]) && options.subresource === undefined ? wanted["metadata"] : {};
  const submitted = readManagers(metadata, before.metadata.managedFields);
  if (submitted.kind === "reset") return [];
  const entries = submitted.kind === "given" ? submitted.entries : stored;
  const errors = submitted.kind === "given" ? [...validateManagers(entries)] : [];
  if (errors.length > 0) throw invalid(target.kind, before.metadata.name, errors);
  return updateOwners(before, after, entries, writingOf(context, target, part, options, "Update"));
}

/**
 * Applies a configuration to the stored object, in the version asked for.
 * @param before undefined where there is none yet.
 * @throws ApiError `Conflict`, `BadRequest`.
 */
export function applied(
  context: Context,
  target: Target,
  part: Part,
  options: WriteOptions,
  before: ResourceObject | undefined,
  { fields, force }: Configuration,
): Applied {
  const writing = writingOf(context, target, part, options, "Apply");
  const byKubectl = writing.by.manager === kubectl;
  const allowed = (conflicts: readonly FieldConflict[]): readonly FieldConflict[] => {
    if (force) return [];
    return byKubectl && before !== undefined ? withoutOwn(before, conflicts, writing.type) : conflicts;
  };
  const { object, entries } = applyConfiguration(before, fields, allowed, writing);
  return { object: byKubectl ? withLastApplied(object, fields) : object, entries };
}

/** A value without members of objects that are null: they say nothing. Items of lists stay. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([name, member]) => [name, withoutNulls(member)]),
  );
}

/**
 * A submitted object as a configuration to apply.
 * @throws ApiError `BadRequest` where it does not say what it is, or says who manages it.
 */
export function configurationOf(object: JsonObject, force: boolean): Configuration {
  const fields = withoutNulls(object) as JsonObject;
  for (const name of ["apiVersion", "kind"] as const) {
    if ((fields[name] ?? "") === "") throw new ApiError("BadRequest", `an applied configuration must name its ${name}`);
  }
  const { metadata = {} } = fields;
  if (isObject(metadata) && metadata["managedFields"] !== undefined) {
    throw new ApiError("BadRequest", "metadata.managedFields must be nil");
  }
  return { fields, force };
}
