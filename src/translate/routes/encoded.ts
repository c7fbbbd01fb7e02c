import { toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type EncodedResource, encodeResourceBytes } from "#proto/encoded.ts";
import { type VirtualHost, VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { routeConfiguration } from "./outbound.ts";

/**
 * A virtual host in its final bytes, made once for every route configuration that holds it: with the tag of
 * `RouteConfiguration.virtual_hosts` = 2 before it.
 */
export function encodeVirtualHost(host: VirtualHost): Uint8Array {
  return new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(toBinary(VirtualHostSchema, host)).finish();
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * A route configuration of virtual hosts that are encoded already. A message is its fields one after the other, so the
 * hosts are put behind the others as they are.
 */
export function encodeRoutes(name: string, hosts: readonly Uint8Array[]): EncodedResource {
  const rest = toBinary(RouteConfigurationSchema, routeConfiguration(name, []));
  return encodeResourceBytes(RouteConfigurationSchema, concatenated([rest, ...hosts]), name);
}
