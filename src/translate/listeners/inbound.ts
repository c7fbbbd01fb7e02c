import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServerTLSSettings } from "#api/istio/common.ts";
import { endingTls, ingressEndpoint } from "#model/ingress.ts";
import type { MeshSettings } from "#model/mesh.ts";
import { listenerProtocol, type Protocol } from "#model/protocol.ts";
import type { InboundPort } from "#model/workloads.ts";
import { TrafficDirection, type TransportSocket } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  type FilterChain,
  FilterChainSchema,
  type Filter,
  type ListenerFilter,
} from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import {
  AdditionalAddressSchema,
  type Listener,
  ListenerSchema,
} from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import type { RouteConfiguration } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { socketAddress } from "../address.ts";
import { singleTarget, speaking } from "../connections/chain.ts";
import { protoDuration } from "../duration.ts";
import {
  blackHoleCluster,
  clusterName,
  inboundPassthroughCluster,
  inboundPort,
  listenerName,
  virtualInbound,
} from "../names.ts";
import { meshServerTls } from "../mesh-tls.ts";
import { inboundStatName } from "../clusters/inbound.ts";
import { canEnd, serverTls } from "../gateways/tls.ts";
import type { SecurityFilters } from "../security-filters.ts";
import { inboundRoutes } from "../routes/inbound.ts";
import { listenerAccessLog } from "./access-log.ts";
import {
  type ChainKind,
  chainKinds,
  type Looks,
  looksFor,
  modeAt,
  type PeerSettings,
  ownTlsKinds,
} from "./chain-kinds.ts";
import { calledAddress, connectionFilters } from "./connection-filters.ts";
import {
  httpInspector,
  httpManager,
  type LookedAt,
  originalDestination,
  originalSource,
  tlsInspector,
} from "./network.ts";
import { wildcardAddress } from "./slots.ts";

/** What inbound chains of one port are made from; the port is absent where it is any that no service names. */
interface InboundChains {
  readonly protocol: Protocol;
  readonly cluster: string;
  readonly port?: number;
  readonly httpName: string;
  readonly tcpName: string;
  readonly statPrefix: string;
  /** Names statistics of bytes; the cluster's name unless set. */
  readonly tcpStatPrefix?: string;
  readonly routes: RouteConfiguration;
  /** Which connections it takes. */
  readonly kinds: readonly ChainKind[];
  /** TLS that ends here. */
  readonly socket: () => TransportSocket;
  /** Filters before that which speaks the protocol. */
  readonly before?: readonly Filter[];
}

/** What listeners of a workload's ports are made with. */
export interface InboundContext {
  readonly mesh: MeshSettings;
  /** Filters of policies. */
  readonly security: SecurityFilters;
  /** What the workload takes; absent where all is plain text. */
  readonly peers: PeerSettings | undefined;
}

/** The chains of a port, one for each kind of connections. */
function chainsOf(input: InboundChains, { mesh, security }: InboundContext): readonly FilterChain[] {
  const { protocol, cluster, port, statPrefix, tcpStatPrefix = cluster, routes, kinds, socket, before = [] } = input;
  const grpcWeb = protocol === "GRPC-Web";
  // Redis is understood where it is called: its filter has no use for an address that each connection has of its own.
  const target = speaking(
    { ...singleTarget(cluster), statPrefix: tcpStatPrefix },
    protocol === "Redis" ? "TCP" : protocol,
  );
  const manager = { statPrefix, routes: { kind: "inline", routes }, side: "inbound", grpcWeb } as const;
  const http = (): Filter => httpManager({ ...manager, security: security.http }, mesh);
  const bytes = (): readonly Filter[] => [...security.network, ...connectionFilters(target, mesh)];
  return kinds.map(({ speaks, transport, applicationProtocols, ends }) =>
    create(FilterChainSchema, {
      name: speaks === "http" ? input.httpName : input.tcpName,
      filterChainMatch: {
        transportProtocol: transport,
        applicationProtocols: [...applicationProtocols],
        ...(port !== undefined && { destinationPort: port }),
      },
      filters: [...before, ...(speaks === "http" ? [http()] : bytes())],
      ...(ends && { transportSocket: socket() }),
    }),
  );
}

/** Where a port is listened on, were it not redirected: its chains are named for it. */
function inboundAddress({ ingress }: Pick<InboundPort, "ingress">): string {
  return ingress?.bind || wildcardAddress;
}

/** The name of a port's chains, and of its listener where it has its own: `0.0.0.0_8080`. */
export function inboundName(port: Pick<InboundPort, "port" | "ingress">): string {
  return listenerName(inboundAddress(port), port.port);
}

/** Whether callers connect to a listener of the port's own. */
export function isBound({ ingress }: Pick<InboundPort, "ingress">): boolean {
  return ingress?.captureMode === "NONE";
}

/**
 * Whether calls go on to the address that they came to where nothing was redirected, so that the connection itself has
 * to say which that is.
 */
function toInstance(port: InboundPort): boolean {
  return isBound(port) && port.ingress !== undefined && ingressEndpoint(port.ingress).kind === "instance";
}

/** TLS of a Sidecar's port that ends in the proxy: only where no mutual TLS of the mesh is taken there, as in Istio. */
function tlsOf({ ingress, port }: InboundPort, { peers }: InboundContext): ServerTLSSettings | undefined {
  return ingress && modeAt(peers, port) === "DISABLE" ? endingTls(ingress) : undefined;
}

/** The kinds of connections to a port. */
function kindsOf(port: InboundPort, context: InboundContext): readonly ChainKind[] {
  const { mesh, peers } = context;
  const protocol = listenerProtocol(port.protocol);
  return tlsOf(port, context) ? ownTlsKinds(protocol, mesh) : chainKinds(protocol, modeAt(peers, port.port), mesh);
}

/** Nobody is let in by TLS that cannot be set up, nor without where there must be some. */
function closedChain(port: InboundPort, mesh: MeshSettings): FilterChain {
  return create(FilterChainSchema, {
    name: inboundName(port),
    filterChainMatch: { destinationPort: port.port },
    filters: connectionFilters(singleTarget(blackHoleCluster), mesh),
  });
}

function portChains(port: InboundPort, context: InboundContext): readonly FilterChain[] {
  const { mesh } = context;
  const name = inboundName(port);
  const tls = tlsOf(port, context);
  if ((tls && !canEnd(tls)) || modeAt(context.peers, port.port) === "CLOSED") return [closedChain(port, mesh)];
  const [first] = port.targets;
  const grpc = port.protocol === "GRPC" || port.protocol === "GRPC-Web";
  return chainsOf(
    {
      protocol: port.protocol,
      kinds: kindsOf(port, context),
      socket: () => (tls ? serverTls(tls, mesh.tlsDefaults) : meshServerTls(mesh)),
      cluster: clusterName("inbound", port.port),
      port: port.port,
      httpName: name,
      tcpName: name,
      statPrefix: `inbound_${name};`,
      tcpStatPrefix: inboundStatName(port, mesh),
      ...(toInstance(port) && { before: [calledAddress()] }),
      routes: inboundRoutes({ port: port.port, host: first.host, servicePort: first.port, grpc }),
    },
    context,
  );
}

/**
 * Chains for ports that no service names.
 * @param port the only one; all of them unless given.
 */
function passthroughChains(context: InboundContext, port?: number): readonly FilterChain[] {
  const { mesh, peers } = context;
  const routes = inboundRoutes({ port: 0, host: "", servicePort: 0, grpc: false });
  routes.name = inboundPassthroughCluster;
  for (const host of routes.virtualHosts) {
    for (const { action } of host.routes) {
      if (action.case === "route") {
        action.value.clusterSpecifier = { case: "cluster", value: inboundPassthroughCluster };
      }
    }
  }
  return chainsOf(
    {
      protocol: "Auto",
      ...(port !== undefined && { port }),
      kinds: chainKinds("auto", modeAt(peers, port), mesh),
      socket: () => meshServerTls(mesh),
      cluster: inboundPassthroughCluster,
      httpName: "virtualInbound-catchall-http",
      tcpName: virtualInbound,
      statPrefix: `${inboundPassthroughCluster};`,
      routes,
    },
    context,
  );
}

function blackHoleChain(mesh: MeshSettings): FilterChain {
  return create(FilterChainSchema, {
    name: "virtualInbound-blackhole",
    // Connections to the listener's own port would come back to it for ever.
    filterChainMatch: { destinationPort: inboundPort },
    filters: connectionFilters(singleTarget(blackHoleCluster), mesh),
  });
}

/** Where something is looked for in first bytes; undefined for nowhere. */
function lookedAt(byPort: ReadonlyMap<number, Looks>, others: Looks, what: keyof Looks): LookedAt | undefined {
  const differing = [...byPort].filter(([, looks]) => looks[what] !== others[what]).map(([port]) => port);
  differing.sort((a, b) => a - b);
  if (others[what]) return { except: differing };
  return differing.length > 0 ? { only: differing } : undefined;
}

/** What tells connections apart. Where their kind is known without, a server that talks first would wait for ever. */
function listenerFilters(
  ports: ReadonlyMap<number, readonly ChainKind[]>,
  others: readonly ChainKind[],
  transparent: boolean,
): ListenerFilter[] {
  const looks = new Map([
    [inboundPort, looksFor([])],
    ...[...ports].map(([port, kinds]) => [port, looksFor(kinds)] as const),
  ]);
  const tls = lookedAt(looks, looksFor(others), "tls");
  const http = lookedAt(looks, looksFor(others), "http");
  return [
    originalDestination(),
    ...(transparent ? [originalSource()] : []),
    // First, so that TLS is not looked at for HTTP.
    ...(tls ? [tlsInspector(tls)] : []),
    ...(http ? [httpInspector(http)] : []),
  ];
}

/** What the listeners of a workload's ports have in common. */
function inboundListener(mesh: MeshSettings): MessageInitShape<typeof ListenerSchema> {
  return {
    trafficDirection: TrafficDirection.INBOUND,
    continueOnListenerFiltersTimeout: true,
    maxConnectionsToAcceptPerSocketEvent: 1,
    listenerFiltersTimeout: protoDuration(mesh.protocolDetectionTimeout),
    accessLog: listenerAccessLog(mesh),
  };
}

/** The listener of a port to which callers connect. */
export function boundInboundListener(port: InboundPort, context: InboundContext): Listener {
  const looks = looksFor(kindsOf(port, context));
  return create(ListenerSchema, {
    ...inboundListener(context.mesh),
    name: inboundName(port),
    address: socketAddress(inboundAddress(port), port.port),
    listenerFilters: [...(looks.tls ? [tlsInspector()] : []), ...(looks.http ? [httpInspector()] : [])],
    filterChains: [...portChains(port, context)],
  });
}

/** What takes calls of no port of a service: the same for most workloads, as a part of their `virtualInbound`. */
export function unnamedPorts(context: InboundContext): Listener {
  return create(ListenerSchema, { filterChains: [blackHoleChain(context.mesh), ...passthroughChains(context)] });
}

/** The listener that takes connections redirected to the workload, less `unnamedPorts`. */
export function virtualInboundListener(
  all: readonly InboundPort[],
  context: InboundContext,
  { transparent, ipv6 }: { readonly transparent: boolean; readonly ipv6: boolean },
): Listener {
  const { mesh, peers } = context;
  const ports = all.filter((port) => !isBound(port));
  const named = new Set(all.map(({ port }) => port));
  const unnamed = Object.keys(peers?.policy.ports ?? {})
    .map(Number)
    .filter((port) => !named.has(port));
  const kinds = new Map([
    ...ports.map((port) => [port.port, kindsOf(port, context)] as const),
    ...unnamed.map((port) => [port, chainKinds("auto", modeAt(peers, port), mesh)] as const),
  ]);
  return create(ListenerSchema, {
    ...inboundListener(mesh),
    name: virtualInbound,
    address: socketAddress(wildcardAddress, inboundPort),
    ...(ipv6 && {
      additionalAddresses: [create(AdditionalAddressSchema, { address: socketAddress("::", inboundPort) })],
    }),
    listenerFilters: listenerFilters(kinds, chainKinds("auto", modeAt(peers), mesh), transparent),
    filterChains: [
      ...ports.flatMap((port) => portChains(port, context)),
      ...unnamed.flatMap((port) => passthroughChains(context, port)),
    ],
    ...(transparent && { transparent }),
  });
}
