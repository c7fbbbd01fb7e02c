import { randomInt, randomUUID } from "node:crypto";
import { codeOf } from "#base/errors.ts";
import { timestamp } from "#base/timestamp.ts";
import type { ManagedFieldsEntry, ObjectMeta, ResourceObject } from "#api/meta.ts";
import { admitCreation } from "../admission/admission.ts";
import { requireNamespace } from "../admission/namespace.ts";
import { checkRights } from "../admission/rights.ts";
import type { JsonObject } from "#api/json.ts";
import { keyOf, type Context } from "../context.ts";
import { asStored } from "../origins/owners.ts";
import { ApiError, alreadyExists, conflict } from "../status.ts";
import { authorship } from "../user.ts";
import { checked } from "./checked.ts";
import { applied, managersMember, ownersOfNew, type Configuration } from "./owners.ts";
import { givenMetadata, identify, ordered, type Submitted, type Target, type WriteOptions } from "./target.ts";

/** Letters of generated names: none that make words or are taken for another. Kubernetes' own choice. */
const suffixLetters = "bcdfghjklmnpqrstvwxz2456789";

/** How often a generated name is tried again when it is taken. */
const nameAttempts = 8;

/** A name that begins with `prefix` and ends with five random letters. */
function generateName(prefix: string): string {
  const letters = Array.from({ length: 5 }, () => suffixLetters[randomInt(suffixLetters.length)]);
  return `${prefix.slice(0, 58)}${letters.join("")}`;
}

function freshMetadata(context: Context, submitted: ObjectMeta, name: string): ObjectMeta {
  const { generateName, namespace } = submitted;
  return {
    name,
    ...(generateName === undefined ? {} : { generateName }),
    ...(namespace === undefined ? {} : { namespace }),
    uid: randomUUID(),
    resourceVersion: "",
    generation: 1,
    creationTimestamp: timestamp(context.clock.now()),
    ...givenMetadata(submitted),
  };
}

/**
 * Writes a new object under a name; undefined when the name is taken.
 * @param entries who manages it, where it is applied.
 */
async function insert(
  context: Context,
  target: Target,
  submitted: Submitted,
  name: string,
  options: WriteOptions,
  entries: readonly ManagedFieldsEntry[] | undefined,
): Promise<ResourceObject | undefined> {
  const { kind, namespace } = target;
  const named = { ...submitted, metadata: { ...submitted.metadata, name } };
  const shaped = checked(context, target, named, options);
  const fresh = { ...shaped, metadata: freshMetadata(context, shaped.metadata, name) };
  const owners = entries ?? ownersOfNew(context, target, fresh, options);
  const key = keyOf(context, kind, namespace, name);
  const metadata = { ...fresh.metadata, ...managersMember(owners) };
  const complete = asStored(context, kind, { ...fresh, metadata }, undefined);
  const admitted = await admitCreation(context, kind, complete);
  try {
    const object = ordered(admitted.object);
    await checkRights(context, { kind, after: object, before: undefined, by: options.by });
    if (!options.dryRun)
      return (await context.store.put(key, object, { kind: "absent" }, authorship(options.by))).object;
    return (await context.store.get(key)) === undefined ? object : undefined;
  } catch (error) {
    if (codeOf(error) === "AlreadyExists") return undefined;
    throw error;
  } finally {
    admitted.release();
  }
}

/**
 * Makes an object of an applied configuration.
 * @returns the object as it is stored, or for a dry run as it would be.
 * @throws ApiError `AlreadyExists`, `BadRequest`, `Invalid`.
 */
export async function createApplied(
  context: Context,
  target: Target,
  name: string,
  configuration: Configuration,
  options: WriteOptions,
): Promise<ResourceObject> {
  const { object, entries } = applied(context, target, "specification", options, undefined, configuration);
  const submitted = identify(target, object, name);
  checkUnbound(target, submitted, name);
  await requireNamespace(context, target, name);
  const created = await insert(context, target, submitted, name, options, entries);
  if (created === undefined) throw alreadyExists(target.kind, name);
  return created;
}

/** A new object cannot be one that there was, nor follow another version. */
function checkUnbound({ kind }: Target, { metadata }: Submitted, name: string): void {
  const { uid = "", resourceVersion = "" } = metadata;
  if (uid !== "") {
    const problem = `uid mismatch: the provided object specified uid ${JSON.stringify(uid)}, and no existing object was found`;
    throw conflict(kind, name, problem);
  }
  if (resourceVersion !== "") {
    throw new ApiError("BadRequest", "resourceVersion should not be set on objects to be created");
  }
}

/**
 * Creates an object.
 * @returns the object as it is stored, or for a dry run as it would be.
 */
export async function create(
  context: Context,
  target: Target,
  object: JsonObject,
  options: WriteOptions,
): Promise<ResourceObject> {
  const submitted = identify(target, object, undefined);
  await requireNamespace(context, target, submitted.metadata.name ?? "");
  const { name, generateName: prefix, resourceVersion } = submitted.metadata;
  if (resourceVersion !== undefined && resourceVersion !== "") {
    throw new ApiError("BadRequest", "resourceVersion should not be set on objects to be created");
  }
  const generated = (name === undefined || name === "") && typeof prefix === "string" && prefix !== "";
  for (let attempt = 1; ; attempt += 1) {
    const chosen = generated ? generateName(prefix) : (name ?? "");
    const created = await insert(context, target, submitted, chosen, options, undefined);
    if (created !== undefined) return created;
    if (!generated || attempt === nameAttempts) throw alreadyExists(target.kind, chosen);
  }
}
