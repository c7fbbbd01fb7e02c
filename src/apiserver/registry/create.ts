import { randomInt, randomUUID } from "node:crypto";
import { codeOf } from "#base/errors.ts";
import { timestamp } from "#base/timestamp.ts";
import type { ObjectMeta, ResourceObject } from "#api/meta.ts";
import { admitCreation } from "../admission/admission.ts";
import { requireNamespace } from "../admission/namespace.ts";
import { checkRights } from "../admission/rights.ts";
import type { JsonObject } from "../body.ts";
import { keyOf, type Context } from "../context.ts";
import { ApiError, alreadyExists } from "../status.ts";
import { authorship } from "../user.ts";
import { checked } from "./checked.ts";
import { identify, ordered, type Submitted, type Target, type WriteOptions } from "./target.ts";

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
  const { generateName, namespace, labels, annotations, finalizers, ownerReferences } = submitted;
  return {
    name,
    ...(generateName === undefined ? {} : { generateName }),
    ...(namespace === undefined ? {} : { namespace }),
    uid: randomUUID(),
    resourceVersion: "",
    generation: 1,
    creationTimestamp: timestamp(context.clock.now()),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(finalizers === undefined || finalizers.length === 0 ? {} : { finalizers }),
    ...(ownerReferences === undefined || ownerReferences.length === 0 ? {} : { ownerReferences }),
  };
}

/** Writes a new object under a name; undefined when the name is taken. */
async function insert(
  context: Context,
  target: Target,
  submitted: Submitted,
  name: string,
  options: WriteOptions,
): Promise<ResourceObject | undefined> {
  const { kind, namespace } = target;
  const named = { ...submitted, metadata: { ...submitted.metadata, name } };
  const shaped = checked(context, target, named, options);
  const metadata = freshMetadata(context, shaped.metadata, name);
  const key = keyOf(context, kind, namespace, name);
  const admitted = await admitCreation(context, kind, { ...shaped, metadata });
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
    const created = await insert(context, target, submitted, chosen, options);
    if (created !== undefined) return created;
    if (!generated || attempt === nameAttempts) throw alreadyExists(target.kind, chosen);
  }
}
