import { create } from "@bufbuild/protobuf";
import { anyPack, DurationSchema } from "@bufbuild/protobuf/wkt";
import { encodeResource, type EncodedResource } from "#proto/encoded.ts";
import { ClusterSchema, Cluster_DiscoveryType } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { AddressSchema } from "#proto/gen/envoy/config/core/v3/address_pb.js";
import { ApiVersion, ConfigSourceSchema } from "#proto/gen/envoy/config/core/v3/config_source_pb.js";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { RouterSchema } from "#proto/gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import { HttpConnectionManagerSchema } from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";

/** Envoy would end its waiting after 15 s by itself; no test shall pass by that. */
const ads = (authority?: string) =>
  create(ConfigSourceSchema, {
    resourceApiVersion: ApiVersion.V3,
    configSourceSpecifier: { case: "ads", value: {} },
    authorities: authority === undefined ? [] : [{ name: authority }],
    initialFetchTimeout: create(DurationSchema, { seconds: 60n }),
  });

const loopback = (port: number) =>
  create(AddressSchema, {
    address: {
      case: "socketAddress",
      value: { address: "127.0.0.1", portSpecifier: { case: "portValue", value: port } },
    },
  });

/** A cluster that Envoy refuses: its discovery lacks what it needs. */
export function badCluster(name: string): EncodedResource {
  const message = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    edsClusterConfig: { edsConfig: ads() },
  });
  return encodeResource(ClusterSchema, message, name);
}

/** A cluster that breaks a constraint of the API, so that Envoy decodes nothing of the response that holds it. */
export function undecodableCluster(name: string): EncodedResource {
  const message = create(ClusterSchema, { name, connectTimeout: create(DurationSchema, { seconds: -1n }) });
  return encodeResource(ClusterSchema, message, name);
}

/** A cluster whose endpoints come over ADS. Other timeouts make it another cluster. */
export function cluster(name: string, timeoutMs = 1000, endpointsName = name): EncodedResource {
  const message = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: ads(), serviceName: endpointsName === name ? "" : endpointsName },
    connectTimeout: create(DurationSchema, {
      seconds: BigInt(Math.trunc(timeoutMs / 1000)),
      nanos: (timeoutMs % 1000) * 1e6,
    }),
  });
  return encodeResource(ClusterSchema, message, name, [endpointsName]);
}

/** Endpoints on loopback ports. */
export function endpoints(name: string, ports: readonly number[]): EncodedResource {
  const message = create(ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: [
      {
        lbEndpoints: ports.map((port) => ({
          hostIdentifier: { case: "endpoint" as const, value: { address: loopback(port) } },
        })),
      },
    ],
  });
  return encodeResource(ClusterLoadAssignmentSchema, message, name);
}

/**
 * An HTTP listener on a loopback port whose routes come over ADS.
 * @param authority makes another listener of it, one that shares no routes with the first.
 */
export function listener(name: string, port: number, route: string, authority?: string): EncodedResource {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: name,
    routeSpecifier: { case: "rds", value: { routeConfigName: route, configSource: ads(authority) } },
    httpFilters: [
      {
        name: "envoy.filters.http.router",
        configType: { case: "typedConfig", value: anyPack(RouterSchema, create(RouterSchema)) },
      },
    ],
  });
  const message = create(ListenerSchema, {
    name,
    address: loopback(port),
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            configType: { case: "typedConfig", value: anyPack(HttpConnectionManagerSchema, manager) },
          },
        ],
      },
    ],
  });
  return encodeResource(ListenerSchema, message, name, [route]);
}

/** A route configuration whose virtual hosts come by themselves. */
export function hostlessRoute(name: string, timeoutMs = 0): EncodedResource {
  const message = create(RouteConfigurationSchema, {
    name,
    vhds: { configSource: ads() },
    ...(timeoutMs > 0 && { requestHeadersToRemove: [`x-${timeoutMs}`] }),
  });
  return encodeResource(RouteConfigurationSchema, message, name);
}

/** A virtual host of such a configuration: some domains, to one cluster. */
export function virtualHost(configuration: string, host: string, domains: readonly string[], to: string) {
  const name = `${configuration}/${host}`;
  const message = create(VirtualHostSchema, {
    name,
    domains: [...domains],
    routes: [
      {
        match: { pathSpecifier: { case: "prefix", value: "/" } },
        action: { case: "route", value: { clusterSpecifier: { case: "cluster", value: to } } },
      },
    ],
  });
  return encodeResource(VirtualHostSchema, message, name, [to]);
}

/** Routes of everything to one cluster. */
export function route(name: string, to: string): EncodedResource {
  const message = create(RouteConfigurationSchema, {
    name,
    virtualHosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [
          {
            match: { pathSpecifier: { case: "prefix", value: "/" } },
            action: { case: "route", value: { clusterSpecifier: { case: "cluster", value: to } } },
          },
        ],
      },
    ],
  });
  return encodeResource(RouteConfigurationSchema, message, name);
}
