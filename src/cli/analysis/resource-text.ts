import { fromBinary, type JsonObject, type Registry, toJson } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { ResourceType } from "#analysis/diff.ts";
import { type EncodedResource, typeUrls } from "#proto/encoded.ts";

/** Envoy's names of the services that carry each type of resource. */
export const discoveryNames: Readonly<Record<ResourceType, string>> = {
  listener: "LDS",
  route: "RDS",
  virtualHost: "VHDS",
  cluster: "CDS",
  endpoints: "EDS",
  secret: "SDS",
  extension: "ECDS",
  nameTable: "NDS",
  bootstrap: "Bootstrap",
};

/** What stands in place of a private key, as in Envoy's own dumps. */
const redacted = { inlineString: "[redacted]" };

/** A resource as JSON in Envoy's form. Private keys are not shown. */
export function resourceJson({ any, typeUrl }: EncodedResource, registry: Registry): JsonObject {
  const { "@type": _type, ...body } = toJson(AnySchema, fromBinary(AnySchema, any), { registry }) as JsonObject;
  const { tlsCertificate } = body;
  if (typeUrl !== typeUrls.secret || tlsCertificate === undefined) return body;
  return { ...body, tlsCertificate: { ...(tlsCertificate as JsonObject), privateKey: redacted } };
}
