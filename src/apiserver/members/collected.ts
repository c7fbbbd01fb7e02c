import { codeOf } from "#base/errors.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Context } from "../context.ts";
import { hiddenOwners } from "../origins/owners.ts";
import { checkPreconditions, type DeleteOptions } from "../registry/delete.ts";
import type { Target } from "../registry/target.ts";
import { getStored, update } from "../registry/update.ts";
import { conflict } from "../status.ts";

/** Who Kubernetes' garbage collector is, with an account of its own or as part of the controller manager. */
const collectors: ReadonlySet<string> = new Set([
  "system:serviceaccount:kube-system:generic-garbage-collector",
  "system:kube-controller-manager",
]);

/** How often it is tried again when another write came first. */
const attempts = 5;

/**
 * Does what a member's garbage collector means by deleting an object that owners in other clusters keep: the object forgets its
 * owners in this one. Does nothing for other deletions.
 * @returns whether that is all there is to do.
 * @throws ApiError `NotFound`, `Conflict` when a precondition does not hold.
 */
export async function forgetsOwners(
  context: Context,
  target: Target,
  name: string,
  options: DeleteOptions,
): Promise<boolean> {
  if (context.member === undefined || !collectors.has(options.by?.user.name ?? "")) return false;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const { object } = await getStored(context, target, name);
    if (hiddenOwners(object.metadata, context).length === 0) return false;
    checkPreconditions(target.kind, object, options);
    const { uid, resourceVersion } = object.metadata;
    const writing = {
      dryRun: options.dryRun,
      fieldValidation: "Ignore",
      warn: () => undefined,
      ...(options.by === undefined ? {} : { by: options.by }),
    } as const;
    try {
      const change = (current: ResourceObject): ResourceObject => {
        return { ...current, metadata: { ...current.metadata, uid, resourceVersion, ownerReferences: [] } };
      };
      await update(context, { target, name, part: "specification", change }, writing);
      return true;
    } catch (error) {
      if (codeOf(error) !== "Conflict") throw error;
    }
  }
  throw conflict(target.kind, name);
}
