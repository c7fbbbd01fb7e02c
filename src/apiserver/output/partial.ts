import type { ResourceObject } from "#api/meta.ts";

/** An object's metadata alone. Kubernetes' `meta/v1.PartialObjectMetadata`. */
export function partial(object: ResourceObject, version: string): object {
  return { kind: "PartialObjectMetadata", apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}
