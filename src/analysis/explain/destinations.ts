import { Cluster_DiscoveryType as DiscoveryType, type Cluster } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { typeUrls } from "#proto/encoded.ts";
import { HealthStatus } from "#proto/gen/envoy/config/core/v3/health_check_pb.js";
import type { ClusterLoadAssignment } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import type { LbEndpoint } from "#proto/gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import {
  blackHoleCluster,
  lookedUpCluster,
  parseClusterName,
  passthroughCluster,
  virtualInbound,
} from "#translate/names.ts";
import { resourceOf } from "#translate/proxy-resources.ts";
import { type ExplainContext, portReasons, ruleReasons } from "./context.ts";
import { decodedListener, terminalOf } from "./decoded.ts";
import type { ReachedCluster, ReachedEndpoint, Reason } from "./explanation.ts";
import { type Connection, filterChainFor, inspected } from "./filter-chains.ts";
import { transportTo } from "./transport.ts";

function addressOf({ hostIdentifier }: LbEndpoint): { readonly address: string; readonly port: number } | undefined {
  if (hostIdentifier.case !== "endpoint") return undefined;
  const { address } = hostIdentifier.value;
  if (address?.address.case !== "socketAddress") return undefined;
  const { address: host, portSpecifier } = address.address.value;
  return { address: host, port: portSpecifier.case === "portValue" ? portSpecifier.value : 0 };
}

/** What the sidecar of a Pod does with a connection to one of its ports. */
function inboundText(context: ExplainContext, pod: NonNullable<ReachedEndpoint["pod"]>, connection: Connection) {
  const proxy = context.proxyOf(pod.name, pod.cluster);
  if (!proxy) return undefined;
  const resource = resourceOf(context.mesh.translator, proxy.node, typeUrls.listener, virtualInbound);
  if (!resource) return undefined;
  const listener = decodedListener(resource);
  const chain = filterChainFor(listener, inspected(listener, connection));
  const how = connection.transport === "tls" ? ", by TLS" : "";
  if (!chain) return `${virtualInbound}: no chain takes it, the connection is closed`;
  const terminal = terminalOf(chain);
  if (terminal.kind === "tcp" && terminal.proxy.clusterSpecifier.case === "cluster") {
    return `${virtualInbound}, chain ${chain.name}${how}: bytes to ${terminal.proxy.clusterSpecifier.value}`;
  }
  return `${virtualInbound}, chain ${chain.name}${how}`;
}

function reachedEndpoint(
  context: ExplainContext,
  cluster: Cluster,
  endpoint: LbEndpoint,
  place: { readonly locality: string; readonly priority: number },
): ReachedEndpoint {
  const at = addressOf(endpoint) ?? { address: "?", port: 0 };
  const pod = context.podAt(at.address);
  const inbound = pod && inboundText(context, pod, { ...at, ...transportTo(cluster, endpoint) });
  const healthy = [HealthStatus.UNKNOWN, HealthStatus.HEALTHY].includes(endpoint.healthStatus);
  return {
    address: `${at.address}:${at.port}`,
    ...(pod && { pod }),
    ...place,
    healthy,
    ...(inbound !== undefined && { inbound }),
  };
}

function endpointsOf(
  context: ExplainContext,
  cluster: Cluster,
  assignment: ClusterLoadAssignment,
): readonly ReachedEndpoint[] {
  return assignment.endpoints.flatMap(({ locality, priority, lbEndpoints }) => {
    const words = [locality?.region, locality?.zone, locality?.subZone].filter((word) => (word ?? "") !== "");
    return lbEndpoints.map((each) => reachedEndpoint(context, cluster, each, { locality: words.join("/"), priority }));
  });
}

function assignmentOf({ resources }: ExplainContext, cluster: Cluster): ClusterLoadAssignment | undefined {
  const eds = cluster.clusterDiscoveryType.case === "type" && cluster.clusterDiscoveryType.value === DiscoveryType.EDS;
  return eds ? resources.endpoints(cluster.name) : cluster.loadAssignment;
}

/** What a cluster is, in words. */
function clusterText(cluster: Cluster, name: string): string {
  if (name === blackHoleCluster) return "no address: the connection is refused";
  if (name === lookedUpCluster) return "the address that Envoy gets from DNS for the request's host";
  if (name === passthroughCluster) return "the address that the program chose, unchanged";
  const { case: kind, value } = cluster.clusterDiscoveryType;
  if (kind !== "type") return "";
  if (value === DiscoveryType.STRICT_DNS || value === DiscoveryType.LOGICAL_DNS) {
    return "addresses that Envoy gets from DNS";
  }
  return value === DiscoveryType.ORIGINAL_DST ? "the address that the program chose" : "";
}

/**
 * A cluster that gets a share of the requests, with its endpoints.
 * @param because what chose the cluster.
 */
export function reachedCluster(
  context: ExplainContext,
  name: string,
  share: number,
  because: readonly Reason[],
): ReachedCluster {
  const cluster = context.resources.cluster(name);
  const parts = parseClusterName(name);
  const reasons = parts
    ? [...because, ...portReasons(context, parts.host, parts.port), ...ruleReasons(context, parts.host, parts.subset)]
    : because;
  if (!cluster) {
    const text = "the proxy has no such cluster: requests are answered with 503";
    return { cluster: name, share, text, because: reasons, endpoints: [] };
  }
  const assignment = assignmentOf(context, cluster);
  const endpoints = assignment ? endpointsOf(context, cluster, assignment) : [];
  const known = clusterText(cluster, name);
  const text = known === "" && endpoints.length === 0 ? "no endpoints: requests are answered with 503" : known;
  return { cluster: name, share, text, because: reasons, endpoints };
}
