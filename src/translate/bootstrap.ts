import { create, type JsonObject } from "@bufbuild/protobuf";
import { type Bootstrap, BootstrapSchema } from "#proto/gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { type EncodedResource, encodeResource } from "#proto/encoded.ts";
import { mergeMessage } from "#proto/merge.ts";
import type { StartSettings } from "./scopes.ts";

/** The name under which the one resource of a proxy is served. */
export const bootstrapName = "bootstrap";

/**
 * What the agent puts into the bootstrap that it writes for a proxy: patches, merged in their order, and under `PROXY_CONFIG` of
 * the node's metadata, where Istio's agent has them, the settings that the proxy is started with. `HIJACK` beside them says how
 * connections are led to it, which holds at once.
 */
export function bootstrapPart(
  { config, hijack, flushesWhenAsked }: StartSettings,
  patches: readonly Bootstrap[],
): EncodedResource {
  const part = create(BootstrapSchema);
  for (const patch of patches) mergeMessage(BootstrapSchema, part, patch);
  // Who is sent statistics never asks.
  if (
    flushesWhenAsked &&
    part.statsSinks.length === 0 &&
    part.statsFlush.case === undefined &&
    !part.statsFlushInterval
  )
    part.statsFlush = { case: "statsFlushOnAdmin", value: true };
  part.node = { ...create(BootstrapSchema, { node: {} }).node, ...part.node } as NonNullable<Bootstrap["node"]>;
  const told = { PROXY_CONFIG: config as JsonObject, ...(hijack && { HIJACK: hijack }) };
  part.node.metadata = { ...part.node.metadata, ...told };
  return encodeResource(BootstrapSchema, part, bootstrapName);
}
