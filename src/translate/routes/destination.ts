import { fittingWeights } from "../weights.ts";
import type { Destination } from "#api/istio/common.ts";
import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { HTTPRouteDestination } from "#api/istio/http-route.ts";
import type { ConsistentHashLB } from "#api/istio/traffic-policy.ts";
import { create } from "@bufbuild/protobuf";
import {
  type RouteAction,
  type RouteAction_HashPolicy,
  WeightedCluster_ClusterWeightSchema,
  type WeightedCluster_ClusterWeight,
  WeightedClusterSchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { clusterName } from "../names.ts";
import { consistentHash, hashPolicies } from "./hash-policy.ts";
import { headerChanges, hostOf } from "./headers.ts";

/** A host that routes point to, as far as the name of its cluster depends on it. */
export interface DestinationService {
  /** Every port of the service. */
  readonly ports: readonly number[];
  /** The host that an ExternalName service stands for; its cluster takes the traffic. */
  readonly aliasOf?: string;
}

/** What routes ask of the hosts they point to. Called with full host names. */
export interface Destinations {
  /** The service of that host that the caller sees. */
  service(host: string): DestinationService | undefined;
  /** The DestinationRule in force for that host. */
  rule(host: string): DestinationRuleSpec | undefined;
}

/** The port a destination means: the one it names, else the service's only one, else the listener's. */
export function destinationPort({ port, host }: Destination, listenerPort: number, known: Destinations): number {
  const [first, ...others] = known.service(host)?.ports ?? [];
  return port?.number ?? (others.length === 0 ? first : undefined) ?? listenerPort;
}

/**
 * The cluster of a destination. One that does not exist is named all the same: Envoy answers 503 for it until the
 * service appears.
 */
export function destinationCluster(destination: Destination, listenerPort: number, known: Destinations): string {
  const port = destinationPort(destination, listenerPort, known);
  const host = known.service(destination.host)?.aliasOf ?? destination.host;
  return clusterName("outbound", port, destination.subset ?? "", host);
}

/** The consistent hash that the destination's DestinationRule asks for. */
export function destinationHash(
  destination: Destination,
  listenerPort: number,
  known: Destinations,
): ConsistentHashLB | undefined {
  const port = destinationPort(destination, listenerPort, known);
  return consistentHash(known.rule(destination.host), destination.subset ?? "", port);
}

function clusterWeight(
  { destination, weight = 0, headers }: HTTPRouteDestination,
  listenerPort: number,
  known: Destinations,
): WeightedCluster_ClusterWeight {
  const host = hostOf(headers);
  return create(WeightedCluster_ClusterWeightSchema, {
    name: destinationCluster(destination, listenerPort, known),
    weight,
    ...headerChanges(headers),
    hostRewriteSpecifier: host === undefined ? { case: undefined } : { case: "hostRewriteLiteral", value: host },
  });
}

/** Where a route's requests go. */
export interface RouteTarget {
  readonly clusterSpecifier: RouteAction["clusterSpecifier"];
  readonly hashPolicy: RouteAction_HashPolicy[];
}

/**
 * The target of a route with destinations: one cluster, or several by weight, less those of weight 0.
 * @returns undefined when no destination takes anything; Envoy would refuse such a route.
 */
export function routeTarget(
  destinations: readonly HTTPRouteDestination[],
  listenerPort: number,
  known: Destinations,
): RouteTarget | undefined {
  const [first, ...others] = destinations;
  const taking = others.length === 0 ? destinations : destinations.filter(({ weight }) => (weight ?? 0) > 0);
  if (!first || taking.length === 0) return undefined;
  const hashPolicy = taking.flatMap(({ destination }) =>
    hashPolicies(destinationHash(destination, listenerPort, known)),
  );
  if (others.length === 0) {
    const value = destinationCluster(first.destination, listenerPort, known);
    return { clusterSpecifier: { case: "cluster", value }, hashPolicy };
  }
  const weighed = fittingWeights(taking.map((destination) => ({ ...destination, weight: destination.weight ?? 0 })));
  const clusters = weighed.map((destination) => clusterWeight(destination, listenerPort, known));
  const value = create(WeightedClusterSchema, { clusters });
  return { clusterSpecifier: { case: "weightedClusters", value }, hashPolicy };
}
