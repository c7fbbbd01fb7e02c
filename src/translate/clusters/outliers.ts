import type { OutlierDetection } from "#api/istio/traffic-policy.ts";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type OutlierDetection as EnvoyOutlierDetection,
  OutlierDetectionSchema,
} from "#proto/gen/envoy/config/cluster/v3/outlier_detection_pb.js";
import type { MatchPredicateSchema } from "#proto/gen/envoy/config/common/matcher/v3/matcher_pb.js";
import { protoDuration } from "../duration.ts";

/** A count of failures in a row after which an endpoint is left out; zero turns the count off. */
function enforced(count: number): number {
  return count > 0 ? 100 : 0;
}

function localOrigin(settings: OutlierDetection) {
  if (settings.splitExternalLocalOriginErrors !== true) return {};
  const failures = settings.consecutiveLocalOriginFailures ?? 0;
  return {
    splitExternalLocalOriginErrors: true,
    enforcingLocalOriginSuccessRate: 0,
    ...(failures > 0 && { consecutiveLocalOriginFailure: failures, enforcingConsecutiveLocalOriginFailure: 100 }),
  };
}

/** Which endpoints are left out for their failures. Success rates, which Envoy compares too, never count, as in Istio. */
export function outlierDetection(settings: OutlierDetection): EnvoyOutlierDetection {
  const { consecutive5xxErrors, consecutiveGatewayErrors, interval, baseEjectionTime, maxEjectionPercent } = settings;
  return create(OutlierDetectionSchema, {
    enforcingSuccessRate: 0,
    ...(consecutive5xxErrors !== undefined && {
      consecutive5xx: consecutive5xxErrors,
      enforcingConsecutive5xx: enforced(consecutive5xxErrors),
    }),
    ...(consecutiveGatewayErrors !== undefined && {
      consecutiveGatewayFailure: consecutiveGatewayErrors,
      enforcingConsecutiveGatewayFailure: enforced(consecutiveGatewayErrors),
    }),
    ...(interval !== undefined && { interval: protoDuration(interval) }),
    ...(baseEjectionTime !== undefined && { baseEjectionTime: protoDuration(baseEjectionTime) }),
    ...(maxEjectionPercent !== undefined && maxEjectionPercent > 0 && { maxEjectionPercent }),
    ...localOrigin(settings),
  });
}

function statusIs(code: number): MessageInitShape<typeof MatchPredicateSchema> {
  const exact = { matchPattern: { case: "exact" as const, value: String(code) } };
  const header = { name: ":status", headerMatchSpecifier: { case: "stringMatch" as const, value: exact } };
  return { rule: { case: "httpResponseHeadersMatch", value: { headers: [header] } } };
}

/** Which responses are failures of an endpoint, in place of those of 5xx; undefined where that is not said. */
export function failingResponses(
  settings: OutlierDetection | undefined,
): MessageInitShape<typeof MatchPredicateSchema> | undefined {
  const [first, ...others] = [...new Set(settings?.outlierDetectionHttpErrorCodes)].map(statusIs);
  // Envoy wants two of what is joined by "or".
  return first && others.length > 0 ? { rule: { case: "orMatch", value: { rules: [first, ...others] } } } : first;
}

/**
 * Share of healthy endpoints, in percent, under which Envoy sends to all of them. Zero unless asked for: endpoints that
 * are not ready are in the set, and must not be sent to.
 */
export function panicThreshold(settings: OutlierDetection | undefined): number {
  return Math.max(0, settings?.minHealthPercent ?? 0);
}

/** Whether endpoints that are not ready are told to proxies; not where they would be sent to in a panic. */
export function includesUnhealthy(settings: OutlierDetection | undefined): boolean {
  return panicThreshold(settings) === 0;
}
