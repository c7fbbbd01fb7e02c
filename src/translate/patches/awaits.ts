import { type Cluster, Cluster_DiscoveryType as DiscoveryType } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import type { Listener } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { managerOf } from "./filters.ts";

/** Names of the endpoint sets that Envoy waits for when it warms a cluster. */
export function endpointsAwaited({ name, clusterDiscoveryType: type, edsClusterConfig }: Cluster): readonly string[] {
  if (type.case !== "type" || type.value !== DiscoveryType.EDS) return [];
  return [edsClusterConfig?.serviceName || name];
}

/** Names of the route configurations that Envoy waits for when it warms a listener. */
export function routesAwaited({ filterChains, defaultFilterChain }: Listener): readonly string[] {
  const chains = [...filterChains, ...(defaultFilterChain ? [defaultFilterChain] : [])];
  const names = chains
    .flatMap((chain) => chain.filters)
    .flatMap((filter) => {
      const routes = managerOf(filter)?.routeSpecifier;
      return routes?.case === "rds" ? [routes.value.routeConfigName] : [];
    });
  return [...new Set(names)];
}
