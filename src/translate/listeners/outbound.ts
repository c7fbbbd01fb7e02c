import { isIP } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { parseDuration } from "#base/duration.ts";
import type { MeshSettings } from "#model/mesh.ts";
import { TrafficDirection } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  type FilterChain,
  FilterChainSchema,
  type FilterChainMatchSchema,
  type ListenerFilter,
} from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { type Listener, ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { listenAddress, socketAddress } from "../address.ts";
import { singleTarget, type TcpChain } from "../connections/chain.ts";
import { noDuration, protoDuration } from "../duration.ts";
import { configPath, istioMetadata } from "../metadata.ts";
import { blackHoleCluster, listenerName, outboundPort, parseRouteName, virtualOutbound } from "../names.ts";
import { routeDefaults } from "../routes/rule.ts";
import { catchAll } from "../routes/virtual-host.ts";
import type { UnclaimedTraffic } from "../unclaimed.ts";
import type { Asks } from "./asks.ts";
import { listenerAccessLog } from "./access-log.ts";
import { connectionFilters } from "./connection-filters.ts";
import { httpInspector, httpManager, originalDestination, plainHttp, tlsInspector } from "./network.ts";
import type { ListenerPlan } from "./plan.ts";
import { wildcardAddress } from "./slots.ts";

function unclaimedChain(name: string, { cluster }: UnclaimedTraffic, mesh: MeshSettings) {
  return create(FilterChainSchema, { name, filters: connectionFilters(singleTarget(cluster), mesh) });
}

/** An address or a network as Envoy has it. */
function cidr(text: string) {
  const [addressPrefix = "", bits = isIP(addressPrefix) === 6 ? "128" : "32"] = text.split("/");
  return { addressPrefix, prefixLen: Number(bits) };
}

function tcpMatch({
  serverNames,
  destinations,
}: TcpChain): MessageInitShape<typeof FilterChainMatchSchema> | undefined {
  if (serverNames.length === 0 && destinations.length === 0) return undefined;
  return { serverNames: [...serverNames], prefixRanges: destinations.map(cidr) };
}

/** Whether nothing but HTTP is meant for a listener: a Sidecar has given it an address, which is no other service's. */
function isHttpOnly({ address, route, tcp }: ListenerPlan): boolean {
  return route !== undefined && tcp.length === 0 && address !== wildcardAddress;
}

/** A proxy, as far as its listeners for what it calls differ by it. */
export interface CallingProxy {
  /** What requests wait for that it does not hold. */
  readonly asks?: Asks;
  /** Whether it has a certificate of the mesh. */
  readonly identified?: true;
}

function httpChain(
  plan: ListenerPlan,
  route: string,
  unclaimed: UnclaimedTraffic,
  mesh: MeshSettings,
  { asks, identified: calls }: CallingProxy,
): FilterChain {
  const statPrefix = `outbound_${listenerName(plan.address, plan.port)};`;
  const { grpcWeb, dynamicDns = unclaimed.looksUp } = plan;
  // Virtual hosts are resources of their own on ports only.
  const waits = asks === "hosts" && parseRouteName(route)?.kind !== "port" ? undefined : asks;
  return create(FilterChainSchema, {
    // Anything else on the port is not for the HTTP services there, such as TLS to a host outside of the mesh.
    ...(!isHttpOnly(plan) && {
      filterChainMatch: { applicationProtocols: plainHttp(mesh), transportProtocol: "raw_buffer" },
    }),
    filters: [
      httpManager(
        { statPrefix, routes: { kind: "rds", name: route }, side: "outbound", grpcWeb, dynamicDns, asks: waits, calls },
        mesh,
      ),
    ],
  });
}

/** Whether HTTP is told from other bytes on a listener. */
function sniffs(plan: ListenerPlan): boolean {
  return plan.route !== undefined && !isHttpOnly(plan);
}

function inspectors(plan: ListenerPlan): ListenerFilter[] {
  return [
    ...(plan.tcp.some((chain) => chain.serverNames.length > 0) ? [tlsInspector()] : []),
    ...(sniffs(plan) ? [httpInspector()] : []),
  ];
}

/** The chains of a listener: those with a match, and the one that takes the rest. */
function chains(plan: ListenerPlan, unclaimed: UnclaimedTraffic, mesh: MeshSettings, proxy: CallingProxy) {
  const matching: FilterChain[] = [];
  let rest: FilterChain | undefined;
  for (const chain of plan.tcp) {
    const filterChainMatch = tcpMatch(chain);
    const made = create(FilterChainSchema, {
      ...(filterChainMatch && { filterChainMatch }),
      filters: connectionFilters(chain.target, mesh, proxy.asks),
      ...(chain.origin && { metadata: istioMetadata({ config: configPath(chain.origin) }) }),
    });
    if (filterChainMatch) matching.push(made);
    else rest = made;
  }
  if (plan.route !== undefined) matching.push(httpChain(plan, plan.route, unclaimed, mesh, proxy));
  if (isHttpOnly(plan)) return { filterChains: matching };
  if (matching.length === 0 && rest) return { filterChains: [rest] };
  return {
    filterChains: matching,
    defaultFilterChain: rest ?? unclaimedChain("PassthroughFilterChain", unclaimed, mesh),
  };
}

/** A listener for connections to some address and port, redirected unless bound: `10.110.0.7_9080`, `0.0.0.0_9080`. */
export function outboundListener(
  plan: ListenerPlan,
  unclaimed: UnclaimedTraffic,
  mesh: MeshSettings,
  proxy: CallingProxy = {},
): Listener {
  return create(ListenerSchema, {
    name: listenerName(plan.address, plan.port),
    address: listenAddress(plan.address, plan.port),
    ...(plan.bound ? { maxConnectionsToAcceptPerSocketEvent: 1 } : { bindToPort: false }),
    trafficDirection: TrafficDirection.OUTBOUND,
    continueOnListenerFiltersTimeout: true,
    listenerFilters: inspectors(plan),
    listenerFiltersTimeout: sniffs(plan) ? protoDuration(mesh.protocolDetectionTimeout) : noDuration,
    accessLog: listenerAccessLog(mesh),
    ...chains(plan, unclaimed, mesh, proxy),
  });
}

/** The chain for plain HTTP on ports that no service has, whose hosts are looked up. */
function lookupChain(unclaimed: UnclaimedTraffic, mesh: MeshSettings): FilterChain {
  const host = catchAll(unclaimed, routeDefaults(mesh));
  const routes = create(RouteConfigurationSchema, {
    name: host.name,
    virtualHosts: [host],
    validateClusters: false,
  });
  const statPrefix = `outbound_${virtualOutbound}_${host.name};`;
  return create(FilterChainSchema, {
    name: "virtualOutbound-catchall-tcp-http",
    filterChainMatch: { applicationProtocols: plainHttp(mesh) },
    filters: [
      httpManager({ statPrefix, routes: { kind: "inline", routes }, side: "outbound", dynamicDns: true }, mesh),
    ],
  });
}

/**
 * How long a connection's first bytes may take where HTTP is looked for on every port, unless the mesh says how long.
 * Without an end, a caller would never hear a server that speaks first.
 */
const sniffingTime = "1s";

/** What tells HTTP apart before a connection goes to any other listener. */
function sniffing({ looksUp }: UnclaimedTraffic, { protocolDetectionTimeout }: MeshSettings) {
  if (!looksUp) return {};
  const limited = (parseDuration(protocolDetectionTimeout) ?? 0) > 0;
  return {
    // What comes after a filter that takes too long is left out, and without the address a connection would end here.
    listenerFilters: [originalDestination(), httpInspector()],
    listenerFiltersTimeout: protoDuration(limited ? protocolDetectionTimeout : sniffingTime),
    continueOnListenerFiltersTimeout: true,
  };
}

/** The listener that takes redirected connections and hands them to the others; what none claims it passes on. */
export function virtualOutboundListener(
  unclaimed: UnclaimedTraffic,
  mesh: MeshSettings,
  transparent: boolean,
): Listener {
  const blackHole = create(FilterChainSchema, {
    name: "virtualOutbound-blackhole",
    // Connections to the listener's own port would come back to it for ever.
    filterChainMatch: { destinationPort: outboundPort },
    filters: connectionFilters(singleTarget(blackHoleCluster), mesh),
  });
  return create(ListenerSchema, {
    name: virtualOutbound,
    address: socketAddress(wildcardAddress, outboundPort),
    useOriginalDst: true,
    trafficDirection: TrafficDirection.OUTBOUND,
    maxConnectionsToAcceptPerSocketEvent: 1,
    filterChains: [
      blackHole,
      ...(unclaimed.looksUp ? [lookupChain(unclaimed, mesh)] : []),
      unclaimedChain("virtualOutbound-catchall-tcp", unclaimed, mesh),
    ],
    ...sniffing(unclaimed, mesh),
    accessLog: listenerAccessLog(mesh),
    ...(transparent && { transparent }),
  });
}
