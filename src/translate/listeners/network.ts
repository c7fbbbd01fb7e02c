import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { MeshSettings } from "#model/mesh.ts";
import type { UnusedFilter } from "#model/proxy-config.ts";
import {
  type Filter,
  FilterSchema,
  type ListenerFilter,
  ListenerFilterSchema,
  type ListenerFilterChainMatchPredicate,
  ListenerFilterChainMatchPredicateSchema,
} from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import type { RouteConfiguration } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { HttpInspectorSchema } from "#proto/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js";
import { OriginalDstSchema } from "#proto/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js";
import { OriginalSrcSchema } from "#proto/gen/envoy/extensions/filters/listener/original_src/v3/original_src_pb.js";
import { ProxyProtocolSchema } from "#proto/gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js";
import { TlsInspectorSchema } from "#proto/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js";
import {
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpConnectionManager_CodecType as CodecType,
} from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { UuidRequestIdConfigSchema } from "#proto/gen/envoy/extensions/request_id/uuid/v3/uuid_pb.js";
import { adsSource } from "../config-source.ts";
import { accessLog } from "./access-log.ts";
import type { Asks } from "./asks.ts";
import { httpFilters } from "./http-filters.ts";
import { callers, connectionSettings, headers, type HttpSide, limits, paths } from "./http-settings.ts";

/** A filter of a connection, by its name and settings. */
export function networkFilter<D extends DescMessage>(name: string, schema: D, config: MessageInitShape<D>): Filter {
  return create(FilterSchema, {
    name,
    configType: { case: "typedConfig", value: anyPack(schema, create(schema, config)) },
  });
}

/** Where requests on a listener get their routes. */
type HttpRoutes =
  | { readonly kind: "rds"; readonly name: string }
  | { readonly kind: "inline"; readonly routes: RouteConfiguration };

/** What an HTTP connection manager is made from. */
export interface HttpManager {
  readonly statPrefix: string;
  readonly routes: HttpRoutes;
  readonly side: HttpSide;
  readonly grpcWeb?: boolean | undefined;
  /** Hosts of some requests are looked up as they are called. */
  readonly dynamicDns?: boolean | undefined;
  /** What requests wait for; absent where they wait for nothing. */
  readonly asks?: Asks | undefined;
  /** Filters of policies. */
  readonly security?: readonly HttpFilter[] | undefined;
  /** Whether requests go on by mutual TLS of the mesh where clusters have it. */
  readonly calls?: boolean | undefined;
  /** Whether HTTP/3 is spoken, and nothing else. */
  readonly quic?: boolean;
}

function routeSpecifier(routes: HttpRoutes) {
  if (routes.kind === "inline") return { case: "routeConfig" as const, value: routes.routes };
  return { case: "rds" as const, value: { routeConfigName: routes.name, configSource: adsSource } };
}

/** What is left out: faults and CORS are rules of callers, which have no say about what a workload takes. */
function unusedOn(side: HttpSide, { unused = [] }: MeshSettings): readonly UnusedFilter[] {
  return side === "inbound" ? unused : unused.filter((each) => each === "grpcStats");
}

/** The filter that speaks HTTP. */
export function httpManager(manager: HttpManager, mesh: MeshSettings): Filter {
  const {
    statPrefix,
    routes,
    side,
    grpcWeb = false,
    dynamicDns = false,
    asks,
    calls,
    security,
    quic = false,
  } = manager;
  const { defaultConfig: config } = mesh;
  const settings = connectionSettings(side, config);
  const bare = config.proxyHeaders?.envoyDebugHeaders?.disabled === true;
  return networkFilter("envoy.filters.network.http_connection_manager", HttpConnectionManagerSchema, {
    statPrefix,
    routeSpecifier: routeSpecifier(routes),
    httpFilters: httpFilters({ grpcWeb, dynamicDns, bare, asks, calls, security, unused: unusedOn(side, mesh) }),
    accessLog: accessLog(mesh),
    ...(quic && { codecType: CodecType.HTTP3, http3ProtocolOptions: {} }),
    ...headers(side, mesh),
    ...paths(mesh, settings),
    ...limits(settings),
    upgradeConfigs: [{ upgradeType: "websocket" }],
    proxy100Continue: true,
    requestIdExtension: {
      typedConfig: anyPack(
        UuidRequestIdConfigSchema,
        create(UuidRequestIdConfigSchema, { useRequestIdForTraceSampling: true }),
      ),
    },
    ...callers(side, config),
  });
}

function listenerFilter(
  name: string,
  schema: DescMessage,
  disabled?: ListenerFilterChainMatchPredicate,
): ListenerFilter {
  return create(ListenerFilterSchema, {
    name,
    configType: { case: "typedConfig", value: anyPack(schema, create(schema)) },
    ...(disabled && { filterDisabled: disabled }),
  });
}

/** Finds the address that a redirected connection was meant for. */
export function originalDestination(): ListenerFilter {
  return listenerFilter("envoy.filters.listener.original_dst", OriginalDstSchema);
}

/** Reads the caller's address from the PROXY header that a connection begins with. */
export function proxyProtocol(): ListenerFilter {
  return listenerFilter("envoy.filters.listener.proxy_protocol", ProxyProtocolSchema);
}

/** The mark of packets by which TPROXY rules know the proxy's own. */
const proxyMark = 1337;

/** Makes the application see the caller's address as the connection's source. */
export function originalSource(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: "envoy.filters.listener.original_src",
    configType: {
      case: "typedConfig",
      value: anyPack(OriginalSrcSchema, create(OriginalSrcSchema, { mark: proxyMark })),
    },
  });
}

function portRange(port: number): ListenerFilterChainMatchPredicate {
  return create(ListenerFilterChainMatchPredicateSchema, {
    rule: { case: "destinationPortRange", value: { start: port, end: port + 1 } },
  });
}

function portsPredicate(ports: readonly number[]): ListenerFilterChainMatchPredicate | undefined {
  const rules = ports.map(portRange);
  if (rules.length < 2) return rules[0];
  return create(ListenerFilterChainMatchPredicateSchema, { rule: { case: "orMatch", value: { rules } } });
}

/** On which ports a connection's first bytes are looked at; elsewhere a server that talks first need not wait. */
export type LookedAt = { readonly only: readonly number[] } | { readonly except: readonly number[] };

const everywhere: LookedAt = { except: [] };

function disabledFor(ports: LookedAt): ListenerFilterChainMatchPredicate | undefined {
  if ("except" in ports) return portsPredicate(ports.except);
  const looked = portsPredicate(ports.only);
  return looked && create(ListenerFilterChainMatchPredicateSchema, { rule: { case: "notMatch", value: looked } });
}

/** Reads the server name, and the protocols that are offered, from a TLS greeting. */
export function tlsInspector(ports: LookedAt = everywhere): ListenerFilter {
  return listenerFilter("envoy.filters.listener.tls_inspector", TlsInspectorSchema, disabledFor(ports));
}

/** Tells HTTP from other protocols by the first bytes. */
export function httpInspector(ports: LookedAt = everywhere): ListenerFilter {
  return listenerFilter("envoy.filters.listener.http_inspector", HttpInspectorSchema, disabledFor(ports));
}

/** What the HTTP inspector calls plain HTTP that is answered; HTTP/1.0 that is not passes as bytes, which may help it. */
export function plainHttp({ protocols: { http10 } }: MeshSettings): string[] {
  return [...(http10 ? ["http/1.0"] : []), "http/1.1", "h2c"];
}
