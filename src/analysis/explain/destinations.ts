import { Cluster_DiscoveryType as DiscoveryType, type Cluster } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { HealthStatus } from "#proto/gen/envoy/config/core/v3/health_check_pb.js";
import type { ClusterLoadAssignment } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import type { LbEndpoint } from "#proto/gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import { blackHoleCluster, lookedUpCluster, parseClusterName, passthroughCluster } from "#translate/names.ts";
import { type ExplainContext, portReasons, ruleReasons } from "./context.ts";
import type { ReachedCluster, ReachedEndpoint, Reason } from "./explanation.ts";
import { inboundOf } from "./inbound.ts";
import type { SentHeaders } from "./policies/sent.ts";

function addressOf({ hostIdentifier }: LbEndpoint): { readonly address: string; readonly port: number } | undefined {
  if (hostIdentifier.case !== "endpoint") return undefined;
  const { address } = hostIdentifier.value;
  if (address?.address.case !== "socketAddress") return undefined;
  const { address: host, portSpecifier } = address.address.value;
  return { address: host, port: portSpecifier.case === "portValue" ? portSpecifier.value : 0 };
}

function reachedEndpoint(
  context: ExplainContext,
  cluster: Cluster,
  endpoint: LbEndpoint,
  { sent, ...place }: Pick<ReachedEndpoint, "locality" | "priority"> & { readonly sent: SentHeaders | undefined },
): ReachedEndpoint {
  const at = addressOf(endpoint) ?? { address: "?", port: 0 };
  const pod = context.podAt(at.address);
  const healthy = [HealthStatus.UNKNOWN, HealthStatus.HEALTHY].includes(endpoint.healthStatus);
  return {
    address: `${at.address}:${at.port}`,
    ...(pod && { pod }),
    ...place,
    healthy,
    ...(pod && inboundOf(context, pod, { cluster, endpoint, at, sent })),
  };
}

function endpointsOf(
  context: ExplainContext,
  cluster: Cluster,
  assignment: ClusterLoadAssignment,
  sent: SentHeaders | undefined,
): readonly ReachedEndpoint[] {
  return assignment.endpoints.flatMap(({ locality, priority, lbEndpoints }) => {
    const words = [locality?.region, locality?.zone, locality?.subZone].filter((word) => (word ?? "") !== "");
    const place = { locality: words.join("/"), priority, sent };
    return lbEndpoints.map((each) => reachedEndpoint(context, cluster, each, place));
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
 * @param sent the requests' headers; undefined where bytes are passed on unread.
 */
export function reachedCluster(
  context: ExplainContext,
  name: string,
  share: number,
  because: readonly Reason[],
  sent: SentHeaders | undefined,
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
  const endpoints = assignment ? endpointsOf(context, cluster, assignment, sent) : [];
  const known = clusterText(cluster, name);
  const text = known === "" && endpoints.length === 0 ? "no endpoints: requests are answered with 503" : known;
  return { cluster: name, share, text, because: reasons, endpoints };
}
