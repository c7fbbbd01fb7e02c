import { toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type EncodedResource, encodeResourceBytes } from "#proto/encoded.ts";
import { type VirtualHost, VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { routeConfiguration } from "./outbound.ts";

/** A virtual host in its final bytes, made once for every route configuration that holds it. */
export function encodeVirtualHost(host: VirtualHost): Uint8Array {
  return toBinary(VirtualHostSchema, host);
}

/**
 * A route configuration of virtual hosts that are encoded already. A message is its fields one after the other, so the
 * hosts (`RouteConfiguration.virtual_hosts` = 2) are put behind the others as they are.
 */
export function encodeRoutes(name: string, hosts: readonly Uint8Array[]): EncodedResource {
  const writer = new BinaryWriter();
  writer.raw(toBinary(RouteConfigurationSchema, routeConfiguration(name, [])));
  for (const host of hosts) writer.tag(2, WireType.LengthDelimited).bytes(host);
  return encodeResourceBytes(RouteConfigurationSchema, writer.finish(), name);
}
