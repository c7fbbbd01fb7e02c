import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { anyCluster, type EncodedResource, encodeResource, encodeResourceBytes, joinedFields } from "#proto/encoded.ts";
import { type VirtualHost, VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import {
  type RouteConfiguration,
  RouteConfigurationSchema,
  VhdsSchema,
} from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { adsSource } from "../config-source.ts";
import { routeConfiguration } from "./outbound.ts";

/**
 * A virtual host in its final bytes, made once for every route configuration that holds it: with the tag of
 * `RouteConfiguration.virtual_hosts` = 2 before it.
 */
export function encodeVirtualHost(host: VirtualHost): Uint8Array {
  return new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(toBinary(VirtualHostSchema, host)).finish();
}

/** The name of a virtual host as a resource: Envoy finds its configuration by what stands before the last slash. */
export function hostResourceName(configuration: string, host: string): string {
  return `${configuration}/${host.replaceAll("/", "%2F")}`;
}

/** The name of the route configuration that a virtual host belongs to, by the host's name as a resource. */
export function configurationOf(resource: string): string {
  return resource.slice(0, resource.lastIndexOf("/"));
}

/** Names of the clusters that a virtual host sends requests to; `anyCluster` where it is not the host that says which. */
function clustersNamed({ routes, requestMirrorPolicies }: VirtualHost): readonly string[] {
  const actions = routes.flatMap(({ action }) => (action.case === "route" ? [action.value] : []));
  const mirrors = [...requestMirrorPolicies, ...actions.flatMap((action) => action.requestMirrorPolicies)];
  const targets = actions.flatMap(({ clusterSpecifier: { case: kind, value } }) => {
    if (kind === "cluster") return [value];
    if (kind === "weightedClusters") return value.clusters.map(({ name }) => name || anyCluster);
    return [anyCluster];
  });
  return [...new Set([...targets, ...mirrors.map(({ cluster }) => cluster || anyCluster)])];
}

/** A virtual host as a resource of its own. Envoy takes it away by its name only where that is the resource's. */
export function encodeHost(configuration: string, host: VirtualHost): EncodedResource {
  const name = hostResourceName(configuration, host.name);
  return encodeResource(VirtualHostSchema, { ...host, name }, name, clustersNamed(host));
}

/** A route configuration whose virtual hosts are resources of their own. */
export function encodeHostless(whole: RouteConfiguration): EncodedResource {
  const vhds = create(VhdsSchema, { configSource: adsSource });
  return encodeResource(RouteConfigurationSchema, { ...whole, virtualHosts: [], vhds }, whole.name);
}

/** A route configuration of virtual hosts that are encoded already. */
export function encodeRoutes(name: string, hosts: readonly Uint8Array[], ignorePort = true): EncodedResource {
  const rest = toBinary(RouteConfigurationSchema, routeConfiguration(name, [], ignorePort));
  return encodeResourceBytes(RouteConfigurationSchema, joinedFields([rest, ...hosts]), name);
}
