import type { ClientTLSSettings } from "#api/istio/traffic-policy.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ClusterSchema } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";

/** How a cluster's connections are secured: members of the cluster's message. */
type Transport = Pick<MessageInitShape<typeof ClusterSchema>, "transportSocket" | "transportSocketMatches">;

/** What decides how connections to a service's endpoints are secured. */
export interface TransportChoice {
  readonly tls: ClientTLSSettings | undefined;
}

/** Whether the choice is one that translation follows; others are a finding on the rule. */
export function supportsTransport({ tls }: TransportChoice): boolean {
  return tls === undefined || tls.mode === undefined || tls.mode === "DISABLE" || tls.mode === "ISTIO_MUTUAL";
}

/**
 * How connections to endpoints are secured, the one place that decides it. Proxies have no certificates yet, so
 * connections between them are plain, which the mesh's permissive default allows.
 */
export function transport(_choice: TransportChoice): Transport {
  return {};
}
