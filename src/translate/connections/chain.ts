import { fittingWeights } from "../weights.ts";
import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { TrafficPolicy } from "#api/istio/traffic-policy.ts";
import type { TCPRoute, TLSRoute } from "#api/istio/virtual-service.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { Protocol } from "#model/protocol.ts";
import { policyFor, subsetOf } from "../clusters/policy.ts";
import { blackHoleCluster } from "../names.ts";
import { type Destinations, destinationCluster, destinationPort } from "../routes/destination.ts";
import { type ConnectionPlace, matchesConnection } from "./match.ts";
import type { ConnectionRule } from "./rule.ts";

/** A cluster with its share of connections. */
export interface WeightedTarget {
  readonly cluster: string;
  readonly weight: number;
}

/** Where a TCP proxy sends connections. */
export interface TcpTarget {
  /** Those that take connections, at least one. */
  readonly clusters: readonly [WeightedTarget, ...WeightedTarget[]];
  readonly statPrefix: string;
  /** What is spoken, where Envoy may have a filter that understands it. */
  readonly protocol?: "Mongo" | "Redis";
  /** The port of servers that are looked up by the name that callers ask for within TLS; absent where none are. */
  readonly lookupPort?: number;
  /** How long a connection may be idle; Envoy's hour where it is not said. */
  readonly idleTimeout?: string | undefined;
  readonly maxConnectionDuration?: string | undefined;
  /** Connections of one caller go to one endpoint. */
  readonly hashSourceIp?: boolean | undefined;
  /** What the destination, an HTTP proxy, is asked to connect to. */
  readonly tunnel?: TrafficPolicy["tunnel"];
}

/** A chain that passes bytes on. */
export interface TcpChain {
  /** Server names of TLS greetings in lower case; empty for all. */
  readonly serverNames: readonly string[];
  /** Networks that the connection is meant for; empty for all. */
  readonly destinations: readonly string[];
  readonly target: TcpTarget;
  /** The VirtualService that the chain comes from. */
  readonly origin?: ObjectRef;
}

/** The target of a single cluster. */
export function singleTarget(cluster: string): TcpTarget {
  return { clusters: [{ cluster, weight: 1 }], statPrefix: cluster };
}

/** The same for a port of a protocol. */
export function speaking(target: TcpTarget, protocol: Protocol | undefined): TcpTarget {
  return protocol === "Mongo" || protocol === "Redis" ? { ...target, protocol } : target;
}

type RouteDestinations = NonNullable<TCPRoute["route"]>;

/** What a DestinationRule says of connections to a port of a host or of a subset of it. */
export function connectionSettings(
  rule: DestinationRuleSpec | undefined,
  subset: string,
  port: number,
): Partial<TcpTarget> {
  const { connectionPool, loadBalancer } = policyFor(rule, subset, port);
  // A subset has its own tunnel or none, as in Istio.
  const { tunnel } = (subset === "" ? rule?.trafficPolicy : subsetOf(rule, subset)?.trafficPolicy) ?? {};
  return {
    idleTimeout: connectionPool?.tcp?.idleTimeout,
    maxConnectionDuration: connectionPool?.tcp?.maxConnectionDuration,
    hashSourceIp: loadBalancer?.consistentHash?.useSourceIp,
    ...(tunnel && { tunnel }),
  };
}

/** What the DestinationRule of a route's first destination says: of several, subsets are not asked. */
function routeSettings([first, ...others]: RouteDestinations, port: number, known: Destinations): Partial<TcpTarget> {
  if (!first) return {};
  const { host, subset = "" } = first.destination;
  const at = destinationPort(first.destination, port, known);
  return connectionSettings(known.rule(host), others.length === 0 ? subset : "", at);
}

/** Where connections of a route go: to one cluster, or to several by weight, less those of weight 0. */
function routeTarget(route: RouteDestinations, port: number, { ref }: ConnectionRule, known: Destinations): TcpTarget {
  const settings = routeSettings(route, port, known);
  const [only, ...others] = route;
  if (only && others.length === 0) {
    return { ...singleTarget(destinationCluster(only.destination, port, known)), ...settings };
  }
  const weighed = route
    .map(({ destination, weight = 0 }) => ({ cluster: destinationCluster(destination, port, known), weight }))
    .filter(({ weight }) => weight > 0);
  const [first, ...rest] = fittingWeights(weighed);
  if (!first) return singleTarget(blackHoleCluster);
  return { clusters: [first, ...rest], statPrefix: `${ref.name}.${ref.namespace}`, ...settings };
}

/** Where the chains of rules stand, and what they are made with. */
export interface ChainContext {
  readonly place: ConnectionPlace;
  readonly known: Destinations;
  /** The networks of the service that is called, which hold where a match names none; empty for all. */
  readonly destinations: readonly string[];
}

function hasDestinations({ route = [] }: TCPRoute | TLSRoute): boolean {
  return route.length > 0;
}

/** The chains of rules for TLS connections, by server names. A match that holds nothing for the place gives none. */
export function tlsChains(rules: readonly ConnectionRule[], context: ChainContext): readonly TcpChain[] {
  const { place, known, destinations } = context;
  return rules.flatMap((rule) =>
    rule.tls.filter(hasDestinations).flatMap(({ match, route = [] }) =>
      match
        .filter((each) => matchesConnection(each, place))
        .map(({ sniHosts, destinationSubnets = [] }) => ({
          serverNames: sniHosts.includes("*") ? [] : sniHosts.map((name) => name.toLowerCase()),
          destinations: destinationSubnets.length > 0 ? destinationSubnets : destinations,
          target: routeTarget(route, place.port, rule, known),
          origin: rule.ref,
        })),
    ),
  );
}

/** Where connections at a place go by the first route that is for it; undefined where none is. */
export function firstTcpTarget(
  rules: readonly ConnectionRule[],
  place: ConnectionPlace,
  known: Destinations,
): { readonly target: TcpTarget; readonly origin: ObjectRef } | undefined {
  for (const rule of rules) {
    const found = rule.tcp
      .filter(hasDestinations)
      .find(({ match = [] }) => match.length === 0 || match.some((each) => matchesConnection(each, place)));
    if (found) return { target: routeTarget(found.route ?? [], place.port, rule, known), origin: rule.ref };
  }
  return undefined;
}

/** Chains for connections of any kind, and whether the last of them takes all that the others do not. */
interface TcpChains {
  readonly chains: readonly TcpChain[];
  readonly complete: boolean;
}

/** The chains of rules for TCP connections, in their order, up to the first that takes every connection. */
export function tcpChains(rules: readonly ConnectionRule[], context: ChainContext): TcpChains {
  const { place, known, destinations } = context;
  const chains: TcpChain[] = [];
  for (const rule of rules) {
    for (const { match = [], route = [] } of rule.tcp.filter(hasDestinations)) {
      const matching = match.filter((each) => matchesConnection(each, place));
      if (match.length > 0 && matching.length === 0) continue;
      const target = routeTarget(route, place.port, rule, known);
      const subnets = matching.map((each) => each.destinationSubnets ?? []);
      if (match.length === 0 || subnets.some((each) => each.length === 0)) {
        chains.push({ serverNames: [], destinations, target, origin: rule.ref });
        return { chains, complete: true };
      }
      chains.push({ serverNames: [], destinations: subnets.flat(), target, origin: rule.ref });
    }
  }
  return { chains, complete: false };
}
