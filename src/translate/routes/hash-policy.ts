import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { ConsistentHashLB, TrafficPolicy } from "#api/istio/traffic-policy.ts";
import { create } from "@bufbuild/protobuf";
import {
  type RouteAction_HashPolicy,
  RouteAction_HashPolicySchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { protoDuration } from "../duration.ts";

/** The cookie that keeps a client at a host. */
function cookiePolicy(cookie: NonNullable<ConsistentHashLB["httpCookie"]>): RouteAction_HashPolicy {
  return create(RouteAction_HashPolicySchema, {
    policySpecifier: {
      case: "cookie",
      value: {
        name: cookie.name,
        path: cookie.path ?? "",
        // Without a lifetime Envoy only reads the cookie; with one, 0 included, it sets it too.
        ...(cookie.ttl !== undefined && { ttl: protoDuration(cookie.ttl) }),
        attributes: (cookie.attributes ?? []).map(({ name, value = "" }) => ({ name, value })),
      },
    },
  });
}

/** What of a request decides its host; empty when the hash names nothing, or has an empty name, which Envoy refuses. */
export function hashPolicies(hash: ConsistentHashLB | undefined): RouteAction_HashPolicy[] {
  if (hash?.httpHeaderName) {
    const value = { headerName: hash.httpHeaderName };
    return [create(RouteAction_HashPolicySchema, { policySpecifier: { case: "header", value } })];
  }
  if (hash?.httpCookie?.name) return [cookiePolicy(hash.httpCookie)];
  if (hash?.useSourceIp !== undefined) {
    const value = { sourceIp: hash.useSourceIp };
    return [create(RouteAction_HashPolicySchema, { policySpecifier: { case: "connectionProperties", value } })];
  }
  if (hash?.httpQueryParameterName) {
    const value = { name: hash.httpQueryParameterName };
    return [create(RouteAction_HashPolicySchema, { policySpecifier: { case: "queryParameter", value } })];
  }
  return [];
}

function hashOf(policy: TrafficPolicy | undefined, port: number): ConsistentHashLB | undefined {
  const ofPort = policy?.portLevelSettings?.find((settings) => settings.port?.number === port);
  return ofPort?.loadBalancer?.consistentHash ?? policy?.loadBalancer?.consistentHash;
}

/** The consistent hash of a host's DestinationRule for a subset (empty for none) and port: the narrowest one said. */
export function consistentHash(
  rule: DestinationRuleSpec | undefined,
  subset: string,
  port: number,
): ConsistentHashLB | undefined {
  const ofSubset = subset === "" ? undefined : rule?.subsets?.find(({ name }) => name === subset);
  return hashOf(ofSubset?.trafficPolicy, port) ?? hashOf(rule?.trafficPolicy, port);
}
