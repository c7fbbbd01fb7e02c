import { codeOf } from "#base/errors.ts";
import { timestamp } from "#base/timestamp.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Stored } from "#store/port.ts";
import { resourceName, type Kind } from "#api/kind.ts";
import { valueAt } from "#api/columns.ts";
import { checkDeletion } from "../admission/namespace.ts";
import { keyOf, type Context } from "../context.ts";
import { ApiError, conflict, notFound } from "../status.ts";
import { authorship, type Author } from "../user.ts";
import type { Target } from "./target.ts";
import { mayGo } from "./update.ts";

/** What becomes of the objects that a deleted one owns. Kubernetes' `propagationPolicy`. */
export type Propagation = "Background" | "Foreground" | "Orphan";

/** How an object is deleted. Kubernetes' `meta/v1.DeleteOptions`. */
export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagation?: Propagation;
  /** The object must have this uid. */
  readonly uid?: string;
  /** The object must have this version. */
  readonly resourceVersion?: string;
  readonly dryRun: boolean;
  /** Who deletes; the server itself unless told. */
  readonly by?: Author;
}

/** Finalizers by which the collector knows what to do with dependents. Kubernetes' names. */
export const foregroundFinalizer = "foregroundDeletion";
export const orphanFinalizer = "orphan";

/** What a deletion did: the object is gone, or waits for its finalizers or its grace period. */
export interface Deletion {
  readonly object: ResourceObject;
  readonly gone: boolean;
}

/** @throws ApiError `Conflict` when a precondition does not hold. */
export function checkPreconditions(kind: Kind, object: ResourceObject, options: DeleteOptions): void {
  const { name, uid, resourceVersion } = object.metadata;
  if (options.uid !== undefined && options.uid !== uid) {
    throw conflict(kind, name, `Precondition failed: UID in precondition: ${options.uid}, UID in object meta: ${uid}`);
  }
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
    throw conflict(
      kind,
      name,
      `Precondition failed: ResourceVersion in precondition: ${options.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}`,
    );
  }
}

/**
 * Seconds that a Pod has to end: what was asked for, else what its specification says. A Pod that is on no node, or
 * that has ended, needs none.
 */
function graceSeconds(kind: Kind, object: ResourceObject, options: DeleteOptions): number {
  if (resourceName(kind) !== "pods") return 0;
  const phase = valueAt(object, "status", "phase");
  const running = (valueAt(object, "spec", "nodeName") ?? "") !== "" && phase !== "Succeeded" && phase !== "Failed";
  if (!running) return 0;
  const own = valueAt(object, "spec", "terminationGracePeriodSeconds");
  const asked = options.gracePeriodSeconds ?? (typeof own === "number" ? own : 30);
  // A Pod that is already ending can be given less time, never more.
  return Math.min(asked, object.metadata.deletionGracePeriodSeconds ?? asked);
}

function withFinalizer(object: ResourceObject, propagation: Propagation | undefined): readonly string[] {
  const { finalizers = [] } = object.metadata;
  if (propagation === undefined) return finalizers;
  const others = finalizers.filter((finalizer) => finalizer !== foregroundFinalizer && finalizer !== orphanFinalizer);
  if (propagation === "Background") return others;
  return [...others, propagation === "Foreground" ? foregroundFinalizer : orphanFinalizer];
}

/** The object with its deletion begun; unchanged where it already was. */
function marked(context: Context, kind: Kind, object: ResourceObject, options: DeleteOptions): ResourceObject {
  const grace = graceSeconds(kind, object, options);
  const { metadata } = object;
  const begun = metadata.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds === grace;
  const { finalizers: _, ...rest } = metadata;
  const finalizers = withFinalizer(object, options.propagation);
  const next: ResourceObject = {
    ...object,
    metadata: {
      ...rest,
      ...(finalizers.length === 0 ? {} : { finalizers }),
      ...(begun
        ? {}
        : {
            generation: metadata.generation + 1,
            deletionTimestamp: timestamp(context.clock.now() + grace * 1000),
            deletionGracePeriodSeconds: grace,
          }),
    },
  };
  return resourceName(kind) === "namespaces" ? terminating(next) : next;
}

/** A namespace stays until its objects are gone: the namespace controller takes the finalizer of its specification. */
function terminating(object: ResourceObject): ResourceObject {
  const status = object["status"];
  return { ...object, status: { ...(typeof status === "object" ? status : {}), phase: "Terminating" } };
}

async function deleteStored(context: Context, kind: Kind, current: Stored, options: DeleteOptions): Promise<Deletion> {
  checkPreconditions(kind, current.object, options);
  const next = marked(context, kind, current.object, options);
  const gone = mayGo(kind, next);
  if (options.dryRun) return { object: next, gone };
  const expect = { kind: "revision", revision: current.revision } as const;
  const by = authorship(options.by);
  if (gone) {
    const { stored } = await context.store.delete(current.key, expect, by);
    return { object: stored.object, gone };
  }
  const { metadata } = current.object;
  const unchanged =
    metadata.deletionTimestamp === next.metadata.deletionTimestamp &&
    metadata.finalizers?.join() === next.metadata.finalizers?.join();
  if (unchanged) return { object: current.object, gone };
  return { object: (await context.store.put(current.key, next, expect, by)).object, gone };
}

/**
 * Deletes an object, or begins to: with finalizers, a grace period or objects inside, it first gets a deletion timestamp.
 * @throws ApiError `NotFound`, `Conflict` when a precondition does not hold, `Forbidden` for a cluster's own namespaces.
 */
export async function remove(
  context: Context,
  target: Target,
  name: string,
  options: DeleteOptions,
): Promise<Deletion> {
  checkDeletion(target.kind, name);
  const key = keyOf(context, target.kind, target.namespace, name);
  for (;;) {
    const current = await context.store.get(key);
    if (current === undefined) throw notFound(target.kind, name);
    try {
      return await deleteStored(context, target.kind, current, options);
    } catch (error) {
      // Another write came first: what is deleted is the object as it is now.
      const code = codeOf(error);
      if (error instanceof ApiError || (code !== "Conflict" && code !== "NotFound")) throw error;
    }
  }
}
