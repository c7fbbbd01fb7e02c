import { isIP } from "node:net";
import type { MeshSettings } from "#model/mesh.ts";
import type { Filter } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { MongoProxySchema } from "#proto/gen/envoy/extensions/filters/network/mongo_proxy/v3/mongo_proxy_pb.js";
import { RedisProxySchema } from "#proto/gen/envoy/extensions/filters/network/redis_proxy/v3/redis_proxy_pb.js";
import { ConfigSchema as SetFilterStateSchema } from "#proto/gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.js";
import { FilterConfigSchema as SniProxySchema } from "#proto/gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.js";
import { TcpProxySchema } from "#proto/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
import type { TcpTarget } from "../connections/chain.ts";
import { protoDuration } from "../duration.ts";
import { dnsCache } from "../dynamic-dns.ts";
import { type Asks, connectionsOnDemand } from "./asks.ts";
import { accessLog } from "./access-log.ts";
import { networkFilter } from "./network.ts";

function clusterSpecifier([first, ...others]: TcpTarget["clusters"]) {
  if (others.length === 0) return { case: "cluster" as const, value: first.cluster };
  const clusters = [first, ...others].map(({ cluster: name, weight }) => ({ name, weight }));
  return { case: "weightedClusters" as const, value: { clusters } };
}

/** How bytes go through an HTTP proxy. */
function tunnelling({ targetHost, targetPort, protocol = "CONNECT" }: NonNullable<TcpTarget["tunnel"]>) {
  const host = isIP(targetHost) === 6 ? `[${targetHost}]` : targetHost;
  return { hostname: `${host}:${targetPort}`, usePost: protocol === "POST" };
}

/** The filter that passes bytes on. */
function tcpProxy(target: TcpTarget, mesh: MeshSettings, asks?: Asks): Filter {
  const { clusters, statPrefix, idleTimeout, maxConnectionDuration, hashSourceIp, tunnel } = target;
  return networkFilter("envoy.filters.network.tcp_proxy", TcpProxySchema, {
    statPrefix,
    clusterSpecifier: clusterSpecifier(clusters),
    accessLog: accessLog(mesh),
    // Of several clusters Envoy asks for none.
    ...(asks === "clusters" && clusters.length === 1 && { onDemand: connectionsOnDemand }),
    ...(idleTimeout !== undefined && { idleTimeout: protoDuration(idleTimeout) }),
    ...(maxConnectionDuration !== undefined && {
      maxDownstreamConnectionDuration: protoDuration(maxConnectionDuration),
    }),
    ...(tunnel && { tunnelingConfig: tunnelling(tunnel) }),
    ...(hashSourceIp === true && { hashPolicy: [{ policySpecifier: { case: "sourceIp", value: {} } }] }),
  });
}

/** Counts MongoDB's commands, and passes the bytes on as they are. */
function mongoProxy({ statPrefix }: TcpTarget): Filter {
  return networkFilter("envoy.filters.network.mongo_proxy", MongoProxySchema, { statPrefix });
}

/** How long a Redis server may take for a command, as in Istio. */
const redisTimeout = protoDuration("5s");

/** Speaks Redis with callers and servers, and sends each command to a server by its key. Of several clusters the first takes all. */
function redisProxy({ statPrefix, clusters: [{ cluster }] }: TcpTarget): Filter {
  return networkFilter("envoy.filters.network.redis_proxy", RedisProxySchema, {
    statPrefix,
    latencyInMicros: true,
    settings: { opTimeout: redisTimeout },
    prefixRoutes: { catchAllRoute: { cluster } },
  });
}

/** Looks up the server that a TLS greeting asks for, and waits for its address. */
function lookup(port: number): Filter {
  return networkFilter("envoy.filters.network.sni_dynamic_forward_proxy", SniProxySchema, {
    dnsCacheConfig: dnsCache,
    portSpecifier: { case: "portValue", value: port },
  });
}

/**
 * The filters of connections that are not HTTP: what knows their protocol, where the mesh has it on, and what passes them on.
 * @param asks what waits for a cluster that the proxy does not hold.
 */
export function connectionFilters(target: TcpTarget, mesh: MeshSettings, asks?: Asks): Filter[] {
  const { protocol, lookupPort } = target;
  if (protocol === "Redis" && mesh.protocols.redis) return [redisProxy(target)];
  const counted = protocol === "Mongo" && mesh.protocols.mongo ? [mongoProxy(target)] : [];
  const found = lookupPort === undefined ? [] : [lookup(lookupPort)];
  return [...found, ...counted, tcpProxy(target, mesh, asks)];
}

/** Lets a cluster of original destinations lead to the address that the caller has connected to. */
export function calledAddress(): Filter {
  const value = {
    key: { case: "objectKey" as const, value: "envoy.network.transport_socket.original_dst_address" },
    value: {
      case: "formatString" as const,
      value: {
        format: {
          case: "textFormatSource" as const,
          value: { specifier: { case: "inlineString" as const, value: "%DOWNSTREAM_LOCAL_ADDRESS%" } },
        },
      },
    },
  };
  return networkFilter("envoy.filters.network.set_filter_state", SetFilterStateSchema, { onNewConnection: [value] });
}
