import { resourceName, type Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { valueAt } from "#api/columns.ts";
import type { Context } from "../context.ts";
import type { NamespaceState } from "../members/member.ts";
import { namespaceState } from "../members/view.ts";
import type { Target } from "../registry/target.ts";
import { forbidden, notFound } from "../status.ts";

/** The finalizer in a namespace's specification that stands for the objects in it. Kubernetes' name. */
export const namespaceFinalizer = "kubernetes";

async function stateOf(context: Context, name: string): Promise<NamespaceState> {
  if (context.member !== undefined) return namespaceState(context, name);
  const stored = await context.store.get({ partition: context.partition, resource: "namespaces", namespace: "", name });
  if (stored === undefined) return "absent";
  return stored.object.metadata.deletionTimestamp === undefined ? "active" : "terminating";
}

/**
 * New objects need their namespace, and that it stays.
 * @throws ApiError `NotFound`, or `Forbidden` while the namespace is being deleted.
 */
export async function requireNamespace(context: Context, target: Target, name: string): Promise<void> {
  const { kind, namespace } = target;
  if (!kind.namespaced || namespace === undefined) return;
  const state = await stateOf(context, namespace);
  if (state === "absent") throw notFound({ group: "", plural: "namespaces" }, namespace);
  if (state === "active") return;
  throw forbidden(kind, name, `unable to create new content in namespace ${namespace} because it is being terminated`, [
    {
      reason: "NamespaceTerminating",
      message: `namespace ${namespace} is being terminated`,
      field: "metadata.namespace",
    },
  ]);
}

/** Namespaces that every cluster has. */
const permanent: ReadonlySet<string> = new Set(["default", "kube-system", "kube-public"]);

/** @throws ApiError `Forbidden` for a namespace that every cluster has. */
export function checkDeletion(kind: Kind, name: string): void {
  if (resourceName(kind) !== "namespaces" || !permanent.has(name)) return;
  throw forbidden(kind, name, "this namespace may not be deleted");
}

/** A new namespace is active, and stays until its objects are gone. */
export function completeNamespace(object: ResourceObject): ResourceObject {
  return { ...object, spec: { finalizers: [namespaceFinalizer] }, status: { phase: "Active" } };
}

/** The finalizers of a namespace's specification are the server's. */
export function keepFinalizers(
  submitted: Readonly<Record<string, unknown>>,
  before: ResourceObject,
): Readonly<Record<string, unknown>> {
  const finalizers = valueAt(before, "spec", "finalizers");
  const spec = submitted["spec"];
  return {
    ...submitted,
    spec: { ...(typeof spec === "object" ? spec : {}), ...(finalizers === undefined ? {} : { finalizers }) },
  };
}
