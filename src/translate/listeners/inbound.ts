import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServerTLSSettings } from "#api/istio/common.ts";
import { endingTls, ingressEndpoint } from "#model/ingress.ts";
import type { MeshSettings } from "#model/mesh.ts";
import { listenerProtocol, type Protocol } from "#model/protocol.ts";
import type { InboundPort } from "#model/workloads.ts";
import { TrafficDirection } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  type FilterChain,
  FilterChainSchema,
  type Filter,
  type ListenerFilter,
} from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { type Listener, ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
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
import { inboundStatName } from "../clusters/inbound.ts";
import { canEnd, serverTls } from "../gateways/tls.ts";
import type { SecurityFilters } from "../security-filters.ts";
import { inboundRoutes } from "../routes/inbound.ts";
import { listenerAccessLog } from "./access-log.ts";
import { calledAddress, connectionFilters } from "./connection-filters.ts";
import { httpInspector, httpManager, originalDestination, originalSource, plainHttp, tlsInspector } from "./network.ts";
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
  /** TLS that ends here. */
  readonly tls?: ServerTLSSettings;
  /** Filters before that which speaks the protocol. */
  readonly before?: readonly Filter[];
}

/** What listeners of a workload's ports are made with. */
export interface InboundContext {
  readonly mesh: MeshSettings;
  /** Filters of policies. */
  readonly security: SecurityFilters;
}

/**
 * How callers' connections are told apart, the one place that decides it: by what the port speaks. Callers are plain
 * until proxies have certificates; chains for those of the mesh will stand beside these.
 */
function chainsOf(input: InboundChains, { mesh, security }: InboundContext): readonly FilterChain[] {
  const {
    protocol,
    cluster,
    port,
    httpName,
    tcpName,
    statPrefix,
    tcpStatPrefix = cluster,
    routes,
    tls,
    before = [],
  } = input;
  const grpcWeb = protocol === "GRPC-Web";
  // Redis is understood where it is called: its filter has no use for an address that each connection has of its own.
  const target = speaking(
    { ...singleTarget(cluster), statPrefix: tcpStatPrefix },
    protocol === "Redis" ? "TCP" : protocol,
  );
  const transport = tls ? { transportSocket: serverTls(tls, mesh.tlsDefaults) } : {};
  const match = { transportProtocol: tls ? "tls" : "raw_buffer", ...(port !== undefined && { destinationPort: port }) };
  const http = (applicationProtocols: readonly string[]): FilterChain =>
    create(FilterChainSchema, {
      name: httpName,
      filterChainMatch: { ...match, applicationProtocols: [...applicationProtocols] },
      filters: [
        ...before,
        httpManager(
          { statPrefix, routes: { kind: "inline", routes }, side: "inbound", grpcWeb, security: security.http },
          mesh,
        ),
      ],
      ...transport,
    });
  const tcp = (): FilterChain =>
    create(FilterChainSchema, {
      name: tcpName,
      filterChainMatch: match,
      filters: [...before, ...security.network, ...connectionFilters(target, mesh)],
      ...transport,
    });
  switch (listenerProtocol(protocol)) {
    case "http":
      return [http([])];
    case "auto":
      return [http(plainHttp(mesh)), tcp()];
    case "tcp":
      return [tcp()];
    case "none":
      return [];
  }
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

/** TLS of a Sidecar's port that ends in the proxy. */
function tlsOf({ ingress }: InboundPort): ServerTLSSettings | undefined {
  return ingress && endingTls(ingress);
}

/** Nobody is let in by TLS that cannot be set up. */
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
  const tls = tlsOf(port);
  if (tls && !canEnd(tls)) return [closedChain(port, mesh)];
  const [first] = port.targets;
  const grpc = port.protocol === "GRPC" || port.protocol === "GRPC-Web";
  return chainsOf(
    {
      protocol: port.protocol,
      ...(tls && { tls }),
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

/** Chains for ports that no service names. */
function passthroughChains(context: InboundContext): readonly FilterChain[] {
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

/** Ports whose protocol is known are not sniffed: a server that talks first would wait for ever. */
function listenerFilters(ports: readonly InboundPort[], transparent: boolean): ListenerFilter[] {
  const secured = ports.filter((port) => tlsOf(port) !== undefined).map(({ port }) => port);
  const known = ports.filter(({ protocol }) => listenerProtocol(protocol) !== "auto").map(({ port }) => port);
  return [
    originalDestination(),
    ...(transparent ? [originalSource()] : []),
    ...(secured.length > 0 ? [tlsInspector(secured)] : []),
    httpInspector([...new Set([inboundPort, ...known])].toSorted((a, b) => a - b)),
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
  const sniffed = tlsOf(port) === undefined && listenerProtocol(port.protocol) === "auto";
  return create(ListenerSchema, {
    ...inboundListener(context.mesh),
    name: inboundName(port),
    address: socketAddress(inboundAddress(port), port.port),
    listenerFilters: [...(tlsOf(port) ? [tlsInspector()] : []), ...(sniffed ? [httpInspector()] : [])],
    filterChains: [...portChains(port, context)],
  });
}

/** What takes calls of no port of a service: the same for all workloads, as a part of their `virtualInbound`. */
export function unnamedPorts(context: InboundContext): Listener {
  return create(ListenerSchema, { filterChains: [blackHoleChain(context.mesh), ...passthroughChains(context)] });
}

/** The listener that takes connections redirected to the workload, less `unnamedPorts`. */
export function virtualInboundListener(
  all: readonly InboundPort[],
  context: InboundContext,
  transparent: boolean,
): Listener {
  const ports = all.filter((port) => !isBound(port));
  return create(ListenerSchema, {
    ...inboundListener(context.mesh),
    name: virtualInbound,
    address: socketAddress(wildcardAddress, inboundPort),
    listenerFilters: listenerFilters(ports, transparent),
    filterChains: ports.flatMap((port) => portChains(port, context)),
    ...(transparent && { transparent }),
  });
}
