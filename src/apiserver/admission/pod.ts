import type { ResourceObject } from "#api/meta.ts";
import type { Pod } from "#api/kubernetes/pod.ts";

/** A new Pod waits for a node, as its namespace's default account unless it names another. */
export function completePod(object: ResourceObject): ResourceObject {
  const { spec } = object as Pod;
  return {
    ...object,
    spec: { ...spec, serviceAccountName: spec.serviceAccountName || "default" },
    status: { phase: "Pending" },
  };
}
