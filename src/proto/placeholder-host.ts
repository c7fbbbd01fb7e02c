import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { encodeResource, type EncodedResource, joinedFields } from "./encoded.ts";
import { VirtualHostSchema } from "./gen/envoy/config/route/v3/route_components_pb.js";

/** The name of a route configuration's placeholder. */
export function placeholderName(configuration: string): string {
  return `${configuration}/on-demand`;
}

/**
 * The virtual host of a route configuration whose others are asked for: Envoy waits for a first one, and this one is for no
 * request (`.invalid` is reserved by RFC 2606).
 */
export function placeholderHost(configuration: string): EncodedResource {
  const name = placeholderName(configuration);
  return encodeResource(VirtualHostSchema, create(VirtualHostSchema, { name, domains: ["on-demand.invalid"] }), name);
}

/**
 * A virtual host that answers for names under which others were asked for: `Resource.aliases` = 4. Envoy lets the requests
 * that wait for these go on, with whichever virtual hosts it has then.
 */
export function answeringHost(host: EncodedResource, names: readonly string[]): EncodedResource {
  const writer = new BinaryWriter();
  for (const name of names) writer.tag(4, WireType.LengthDelimited).string(name);
  return { ...host, resource: joinedFields([writer.finish(), host.resource]) };
}
