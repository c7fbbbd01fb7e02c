import { equal } from "#base/canonical.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import { valueAt } from "#api/columns.ts";
import { resourceName, type Kind } from "#api/kind.ts";
import { apiVersionOf, type ObjectMeta, type ResourceObject } from "#api/meta.ts";
import type { Stored } from "#store/port.ts";
import { carryOver, admitUpdate } from "../admission/admission.ts";
import { checkRights } from "../admission/rights.ts";
import type { JsonObject } from "#api/json.ts";
import { keyOf, type Context } from "../context.ts";
import { asSeen, asStored } from "../origins/owners.ts";
import { asVersion } from "../output/json.ts";
import { ApiError, conflict, invalid, notFound } from "../status.ts";
import { authorship } from "../user.ts";
import { checked } from "./checked.ts";
import { applied, managersMember, ownersAfter, type Configuration, type Part } from "./owners.ts";
import { givenMetadata, identify, ordered, type Submitted, type Target, type WriteOptions } from "./target.ts";

/** How often a change that is not bound to a version is made again when another write came first. */
const updateAttempts = 10;

/** A change of one object: by what it is to become, or by a configuration to apply. */
export type Update = {
  readonly target: Target;
  readonly name: string;
  /** `status` writes the status alone, and nothing else writes it. */
  readonly part: Part;
} & (
  | {
      /** The wanted object, from the stored one in the version asked for. */
      readonly change: (current: ResourceObject) => JsonObject;
    }
  | { readonly configuration: Configuration }
);

/** The object of a name. @throws ApiError `NotFound`. */
export async function getStored(context: Context, target: Target, name: string): Promise<Stored> {
  const stored = await context.store.get(keyOf(context, target.kind, target.namespace, name));
  if (stored === undefined) throw notFound(target.kind, name);
  return stored;
}

function checkVersion(target: Target, name: string, submitted: Submitted, current: ResourceObject): void {
  const { uid, resourceVersion } = submitted.metadata;
  if (uid !== undefined && uid !== "" && uid !== current.metadata.uid) {
    const problem = `Precondition failed: UID in precondition: ${JSON.stringify(uid)}, UID in object meta: ${current.metadata.uid}`;
    throw conflict(target.kind, name, problem);
  }
  const bound = resourceVersion !== undefined && resourceVersion !== "" && resourceVersion !== "0";
  if (bound && resourceVersion !== current.metadata.resourceVersion) throw conflict(target.kind, name);
}

function bodyOf(object: ResourceObject): object {
  const { apiVersion: _, kind: __, metadata: ___, status: ____, ...body } = object;
  return body;
}

/** The server's own fields stay; the generation counts changes of what is neither metadata nor status. */
function updatedMetadata(before: ResourceObject, after: ResourceObject): ObjectMeta {
  const { labels: _, annotations: __, finalizers: ___, ownerReferences: ____, ...own } = before.metadata;
  return {
    ...own,
    generation: own.generation + (equal(bodyOf(before), bodyOf(after)) ? 0 : 1),
    ...givenMetadata(after.metadata),
  };
}

/** An object that is going away gets no new finalizers. */
function checkFinalizers(target: Target, before: ResourceObject, after: ResourceObject): void {
  if (before.metadata.deletionTimestamp === undefined) return;
  const known = new Set(before.metadata.finalizers);
  const added = (after.metadata.finalizers ?? []).filter((finalizer) => !known.has(finalizer));
  if (added.length === 0) return;
  throw invalid(target.kind, before.metadata.name, [
    {
      field: "metadata.finalizers",
      reason: "FieldValueForbidden",
      message: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
    },
  ]);
}

/** The object that is wanted, in its kind's shape, but for who manages it. */
function shapedObject(
  context: Context,
  { target, name, part }: Update,
  wanted: JsonObject,
  before: ResourceObject,
  options: WriteOptions,
): ResourceObject {
  const { kind } = target;
  const submitted = identify(target, wanted, name);
  checkVersion(target, name, submitted, before);
  if (part === "status") {
    // Only the status is taken, so only the status is checked.
    const { status } = checked(context, target, submitted, options, { part, before });
    const { status: _, ...rest } = before;
    return status === undefined ? rest : { ...rest, status };
  }
  const shaped = checked(context, target, carryOver(kind, submitted, before), options, { before });
  const status = kind.status ? before["status"] : shaped["status"];
  const after = { ...shaped, ...(status === undefined ? {} : { status }) };
  checkFinalizers(target, before, after);
  return { ...after, metadata: updatedMetadata(before, after) };
}

function desired(context: Context, update: Update, before: ResourceObject, options: WriteOptions): ResourceObject {
  const { target, part } = update;
  const current = asVersion(before, apiVersionOf(target.kind.group, target.version));
  const { object: wanted, entries } =
    "configuration" in update
      ? applied(context, target, part, options, current, update.configuration)
      : { object: update.change(current), entries: undefined };
  const after = shapedObject(context, update, wanted, before, options);
  const owners = entries ?? ownersAfter(context, target, part, options, { before, after, wanted });
  const { managedFields: _, ...metadata } = after.metadata;
  return { ...after, metadata: { ...metadata, ...managersMember(owners) } };
}

/** Whether nothing keeps an object that was deleted: no finalizer, no grace period, nothing inside a namespace. */
export function mayGo(kind: Kind, object: ResourceObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata;
  const inside = resourceName(kind) === "namespaces" ? valueAt(object, "spec", "finalizers") : undefined;
  const held = finalizers.length > 0 || (Array.isArray(inside) && inside.length > 0);
  return deletionTimestamp !== undefined && deletionGracePeriodSeconds === 0 && !held;
}

/** Change by change an object could grow beyond what a store takes. */
function tooLarge(kind: Kind, name: string, problem: string): ApiError {
  return new ApiError("RequestEntityTooLarge", `${resourceName(kind)} "${name}" cannot be changed: ${problem}`);
}

async function write(
  context: Context,
  update: Update,
  current: Stored,
  options: WriteOptions,
): Promise<ResourceObject | undefined> {
  const { kind } = update.target;
  const wanted = desired(context, update, asSeen(current.object, context), options);
  const next = asStored(context, kind, wanted, current.object);
  const admitted = await admitUpdate(context, kind, next, current.object);
  try {
    const object = ordered(admitted.object);
    await checkRights(context, { kind, after: object, before: current.object, by: options.by });
    if (options.dryRun) return object;
    if (equal(object, current.object)) return current.object;
    const expect = { kind: "revision", revision: current.revision } as const;
    const by = authorship(options.by);
    if (!mayGo(kind, object)) return (await context.store.put(current.key, object, expect, by)).object;
    // Its last finalizer went: so does the object.
    await context.store.delete(current.key, expect, by);
    return object;
  } catch (error) {
    if (codeOf(error) === "Conflict") return undefined;
    if (error instanceof ApiError) throw error;
    if (codeOf(error) === "NotFound") throw notFound(kind, update.name);
    if (codeOf(error) === "ResourceExhausted") throw tooLarge(kind, update.name, messageOf(error));
    throw error;
  } finally {
    admitted.release();
  }
}

/**
 * Changes an object. A change that names no version is made again from the newest object when another write came first.
 * @returns the object as it is stored, or for a dry run as it would be.
 * @throws ApiError `NotFound`, `Conflict`, `Invalid`, `BadRequest`.
 */
export async function update(context: Context, change: Update, options: WriteOptions): Promise<ResourceObject> {
  for (let attempt = 1; attempt <= updateAttempts; attempt += 1) {
    const current = await getStored(context, change.target, change.name);
    const written = await write(context, change, current, options);
    if (written !== undefined) return written;
  }
  throw conflict(change.target.kind, change.name);
}
