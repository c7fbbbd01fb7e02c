import type { Percent } from "#api/istio/common.ts";
import type { HTTPMirrorPolicy, HTTPRoute } from "#api/istio/http-route.ts";
import { create } from "@bufbuild/protobuf";
import {
  type RouteAction_RequestMirrorPolicy,
  RouteAction_RequestMirrorPolicySchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import type { FractionalPercent } from "#proto/gen/envoy/type/v3/percent_pb.js";
import { type Destinations, destinationCluster } from "./destination.ts";
import { fractionOf, runtimeFraction, wholePercent } from "./percent.ts";

/** The share that is mirrored: all unless told; undefined when told to be none. */
function share(percentage: Percent | undefined, whole?: number): FractionalPercent | undefined {
  if (percentage) return (percentage.value ?? 0) > 0 ? fractionOf(percentage.value ?? 0) : undefined;
  if (whole !== undefined) return whole > 0 ? wholePercent(whole) : undefined;
  return wholePercent(100);
}

interface Mirror extends HTTPMirrorPolicy {
  /** The deprecated whole percentage that goes with a route's single `mirror`. */
  readonly whole?: number | undefined;
}

function mirrorsOf(route: HTTPRoute): readonly Mirror[] {
  const { mirror, mirrorPercentage, mirrorPercent, mirrors = [] } = route;
  if (!mirror) return mirrors;
  return [
    {
      destination: mirror,
      ...(mirrorPercentage && { percentage: mirrorPercentage }),
      whole: mirrorPercent ?? route.mirror_percent,
    },
    ...mirrors,
  ];
}

/** Copies of requests that go elsewhere too; their responses are dropped. The copies keep the request's host. */
export function mirrorPolicies(
  route: HTTPRoute,
  listenerPort: number,
  known: Destinations,
): RouteAction_RequestMirrorPolicy[] {
  return mirrorsOf(route).flatMap(({ destination, percentage, whole }) => {
    const fraction = share(percentage, whole);
    if (!destination || !fraction) return [];
    return create(RouteAction_RequestMirrorPolicySchema, {
      cluster: destinationCluster(destination, listenerPort, known),
      runtimeFraction: runtimeFraction(fraction),
      traceSampled: false,
      disableShadowHostSuffixAppend: true,
    });
  });
}
