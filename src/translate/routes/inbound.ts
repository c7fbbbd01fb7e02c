import { create } from "@bufbuild/protobuf";
import { RetryPolicySchema, type Route, RouteSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { noDuration } from "../duration.ts";
import { clusterName } from "../names.ts";
import { routeMatch } from "./match.ts";
import { virtualHostName } from "./virtual-host.ts";
import { VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";

/**
 * A request that was reset before the application saw it is sent again: it shields callers from connections that the
 * application closes while idle. Never on gRPC, whose streams it does not suit.
 */
const retries = create(RetryPolicySchema, { numRetries: 2, retryOn: "reset-before-request" });

/** What requests to the workload are routed by. */
export interface InboundPort {
  /** The workload's own port. */
  readonly port: number;
  /** The service that spans are named for; empty where none is known. */
  readonly host: string;
  /** The service's port. */
  readonly servicePort: number;
  readonly grpc: boolean;
}

function inboundRoute(cluster: string, { host, servicePort, grpc }: InboundPort): Route {
  return create(RouteSchema, {
    name: "default",
    match: routeMatch(undefined),
    decorator: { operation: `${virtualHostName(host, servicePort)}/*` },
    action: {
      case: "route",
      value: {
        clusterSpecifier: { case: "cluster", value: cluster },
        // The caller's proxy keeps the time.
        timeout: noDuration,
        maxStreamDuration: { maxStreamDuration: noDuration, grpcTimeoutHeaderMax: noDuration },
        ...(!grpc && { retryPolicy: retries }),
      },
    },
  });
}

/** The route configuration inside an inbound filter chain: every request goes to the workload's port. */
export function inboundRoutes(inbound: InboundPort): RouteConfiguration {
  const cluster = clusterName("inbound", inbound.port);
  const name = `inbound|http|${inbound.servicePort}`;
  const virtualHost = create(VirtualHostSchema, { name, domains: ["*"], routes: [inboundRoute(cluster, inbound)] });
  return create(RouteConfigurationSchema, { name: cluster, virtualHosts: [virtualHost], validateClusters: false });
}
