import { fromBinary, type JsonObject, type Registry, toJson } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { ResourceType } from "#analysis/diff.ts";
import type { EncodedResource } from "#proto/encoded.ts";

/** Envoy's names of the services that carry each type of resource. */
export const discoveryNames: Readonly<Record<ResourceType, string>> = {
  listener: "LDS",
  route: "RDS",
  cluster: "CDS",
  endpoints: "EDS",
  nameTable: "NDS",
};

/** A resource as JSON in Envoy's form. */
export function resourceJson({ any }: EncodedResource, registry: Registry): JsonObject {
  const { "@type": _type, ...body } = toJson(AnySchema, fromBinary(AnySchema, any), { registry }) as JsonObject;
  return body;
}
