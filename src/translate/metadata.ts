import type { ObjectRef } from "#api/meta.ts";
import type { JsonObject } from "@bufbuild/protobuf";

/** Path of an Istio object in Istio's form: `/apis/networking.istio.io/v1/namespaces/shop/destination-rule/reviews`. */
export function configPath({ group, kind, namespace = "", name }: ObjectRef): string {
  const words = kind.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
  return `/apis/${group}/v1/namespaces/${namespace}/${words}/${name}`;
}

/**
 * Metadata of a resource under Istio's name.
 * @param others metadata under other names.
 */
export function istioMetadata(
  fields: JsonObject,
  others: Readonly<Record<string, JsonObject>> = {},
): { readonly filterMetadata: Record<string, JsonObject> } {
  return { filterMetadata: { istio: fields, ...others } };
}
