import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { ClientTLSSettings, TrafficPolicy } from "#api/istio/traffic-policy.ts";
import type { Endpoint } from "#model/endpoint.ts";
import type { PeerAuthenticationQueries } from "#model/peer-authentications.ts";
import { subsetOf } from "../clusters/policy.ts";

function tlsAt(policy: TrafficPolicy | undefined, port: number): ClientTLSSettings | undefined {
  return policy?.portLevelSettings?.find((each) => each.port?.number === port && each.tls)?.tls ?? policy?.tls;
}

/** The TLS that a rule names first for a port: of endpoints, Istio does not let settings of a port hide those of the whole. */
function ruledTls(rule: DestinationRuleSpec | undefined, subset: string, port: number): ClientTLSSettings | undefined {
  return tlsAt(subsetOf(rule, subset)?.trafficPolicy, port) ?? tlsAt(rule?.trafficPolicy, port);
}

/** Which endpoints of a cluster are told to be ones that speak mutual TLS of the mesh. */
export function mutualTlsSpeakers(
  peers: PeerAuthenticationQueries,
  {
    rule,
    subset,
    port,
  }: { readonly rule: DestinationRuleSpec | undefined; readonly subset: string; readonly port: number },
): (endpoint: Endpoint) => boolean {
  const tls = ruledTls(rule, subset, port);
  if (tls && tls.mode !== "ISTIO_MUTUAL") return () => false;
  return (endpoint) => endpoint.mutualTls && (tls !== undefined || !peers.isOffAt(endpoint, endpoint.port));
}
