import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { CorsSchema } from "#proto/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js";
import { FilterConfigSchema as DynamicProxySchema } from "#proto/gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js";
import { HTTPFaultSchema } from "#proto/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { FilterConfigSchema as GrpcStatsSchema } from "#proto/gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js";
import { GrpcWebSchema } from "#proto/gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.js";
import { OnDemandSchema } from "#proto/gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js";
import { ConfigSchema as SetFilterStateSchema } from "#proto/gen/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.js";
import { RouterSchema } from "#proto/gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import type { UnusedFilter } from "#model/proxy-config.ts";
import { type Asks, clustersOnDemand } from "./asks.ts";
import { dnsCache } from "../dynamic-dns.ts";
import { offeredPerRequest } from "../mesh-tls.ts";

/** A filter of requests, by its name and settings. */
export function httpFilter<D extends DescMessage>(name: string, schema: D, config: MessageInitShape<D>): HttpFilter {
  return create(HttpFilterSchema, {
    name,
    configType: { case: "typedConfig", value: anyPack(schema, create(schema, config)) },
  });
}

/** What decides which filters requests pass. */
export interface HttpFilterChoice {
  /** Callers are browsers that speak gRPC-Web. */
  readonly grpcWeb: boolean;
  /** Envoy adds no headers of its own, such as X-Envoy-Upstream-Service-Time. */
  readonly bare: boolean;
  /** Hosts of requests are looked up where their cluster calls what was. */
  readonly dynamicDns: boolean;
  /** What requests wait for; absent where they wait for nothing. */
  readonly asks?: Asks | undefined;
  /** Filters of policies. */
  readonly security?: readonly HttpFilter[] | undefined;
  /** Some clusters are called by mutual TLS of the mesh. */
  readonly calls?: boolean | undefined;
  /** Filters that have nothing to do. */
  readonly unused?: readonly UnusedFilter[];
}

/** The state of a request, or of a connection, that says what is offered when protocols are agreed on. */
const applicationProtocols = "envoy.network.application_protocols";

/** Says what a request's cluster says that requests offer (`offeredPerRequest`); nothing where it says nothing. */
function protocolsPerRequest(): HttpFilter {
  const { namespace, key } = offeredPerRequest;
  const inlineString = `%METADATA(CLUSTER:${namespace}:${key})%`;
  const value = {
    key: { case: "objectKey" as const, value: applicationProtocols },
    value: {
      case: "formatString" as const,
      value: {
        format: {
          case: "textFormatSource" as const,
          value: { specifier: { case: "inlineString" as const, value: inlineString } },
        },
        omitEmptyValues: true,
      },
    },
    skipIfEmpty: true,
  };
  return httpFilter("envoy.filters.http.set_filter_state", SetFilterStateSchema, { onRequestHeaders: [value] });
}

function grpcStats(): HttpFilter {
  return httpFilter("envoy.filters.http.grpc_stats", GrpcStatsSchema, {
    emitFilterState: true,
    perMethodStatSpecifier: { case: "statsForAllMethods", value: { value: false } },
  });
}

/**
 * The filters that each request passes, in order: what rejects a caller stands before what counts or delays, and nothing
 * stands after the router.
 */
export function httpFilters(choice: HttpFilterChoice): HttpFilter[] {
  const { grpcWeb, dynamicDns, bare, asks, calls, security = [], unused = [] } = choice;
  const used = (name: UnusedFilter, filter: () => HttpFilter): readonly HttpFilter[] =>
    unused.includes(name) ? [] : [filter()];
  return [
    // First, so that all others have the route that it waits for.
    ...(asks
      ? [
          httpFilter(
            "envoy.filters.http.on_demand",
            OnDemandSchema,
            asks === "clusters" ? { odcds: clustersOnDemand } : {},
          ),
        ]
      : []),
    // Before all that does something with a request which may be refused.
    ...security,
    // Makes gRPC of gRPC-Web, so that all others see one protocol.
    ...(grpcWeb ? [httpFilter("envoy.filters.http.grpc_web", GrpcWebSchema, {})] : []),
    // Counts gRPC calls; before faults, so that an aborted call is counted too.
    ...used("grpcStats", grpcStats),
    // Off until a route says which faults; before CORS, as in Istio, so that a browser's preflight can be delayed too.
    ...used("faults", () => httpFilter("envoy.filters.http.fault", HTTPFaultSchema, {})),
    // Answers preflights by itself; off until a route says for which origins.
    ...used("cors", () => httpFilter("envoy.filters.http.cors", CorsSchema, {})),
    // Waits for the address of the request's host, which its cluster then has.
    ...(dynamicDns
      ? [
          httpFilter("envoy.filters.http.dynamic_forward_proxy", DynamicProxySchema, {
            implementationSpecifier: { case: "dnsCacheConfig", value: dnsCache },
          }),
        ]
      : []),
    // Last before the router, when the request's cluster is sure.
    ...(calls ? [protocolsPerRequest()] : []),
    // Sends the request on; it ends the chain.
    httpFilter("envoy.filters.http.router", RouterSchema, { ...(bare && { suppressEnvoyHeaders: true }) }),
  ];
}
