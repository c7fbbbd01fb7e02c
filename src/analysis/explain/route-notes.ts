import type { Duration } from "@bufbuild/protobuf/wkt";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import type { Route, RouteAction } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { HTTPFaultSchema } from "#proto/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import {
  type FractionalPercent,
  FractionalPercent_DenominatorType as Denominator,
} from "#proto/gen/envoy/type/v3/percent_pb.js";

/** Something that a route does beside choosing where to go, and the field of Istio's HTTPRoute that asks for it. */
export interface RouteNote {
  readonly text: string;
  readonly field: string;
}

function seconds({ seconds: whole, nanos }: Duration): string {
  return `${Number(whole) + nanos / 1e9}s`;
}

const denominators = {
  [Denominator.HUNDRED]: 100,
  [Denominator.TEN_THOUSAND]: 10_000,
  [Denominator.MILLION]: 1_000_000,
} as const;

/** A share of requests: `12.5 %`. */
function percentText(percent: FractionalPercent | undefined): string {
  if (!percent) return "100 %";
  return `${(percent.numerator * 100) / denominators[percent.denominator]} %`;
}

function faultNotes({ typedPerFilterConfig }: Route): readonly RouteNote[] {
  const any = typedPerFilterConfig["envoy.filters.http.fault"];
  const fault = any && anyUnpack(any, HTTPFaultSchema);
  if (!fault) return [];
  const { delay, abort } = fault;
  const late = delay?.faultDelaySecifier.case === "fixedDelay" ? delay.faultDelaySecifier.value : undefined;
  const status = abort?.errorType.case === "httpStatus" ? `status ${abort.errorType.value}` : undefined;
  const grpc = abort?.errorType.case === "grpcStatus" ? `gRPC status ${abort.errorType.value}` : undefined;
  return [
    ...(late
      ? [
          {
            text: `${percentText(delay?.percentage)} of requests are delayed by ${seconds(late)}`,
            field: "fault.delay",
          },
        ]
      : []),
    ...(abort
      ? [
          {
            text: `${percentText(abort.percentage)} of requests are answered with ${status ?? grpc ?? "an error"}`,
            field: "fault.abort",
          },
        ]
      : []),
  ];
}

function actionNotes(action: RouteAction): readonly RouteNote[] {
  const { timeout, retryPolicy, prefixRewrite, regexRewrite, hostRewriteSpecifier, requestMirrorPolicies } = action;
  const notes: RouteNote[] = [];
  if (timeout && (timeout.seconds > 0n || timeout.nanos > 0)) {
    notes.push({ text: `must be answered within ${seconds(timeout)}`, field: "timeout" });
  }
  if (retryPolicy) {
    const most = retryPolicy.numRetries ?? 1;
    notes.push({ text: `is retried up to ${most} times on ${retryPolicy.retryOn}`, field: "retries" });
  }
  if (prefixRewrite !== "") notes.push({ text: `the matched prefix becomes ${prefixRewrite}`, field: "rewrite" });
  if (regexRewrite) notes.push({ text: `the path is rewritten with ${regexRewrite.substitution}`, field: "rewrite" });
  if (hostRewriteSpecifier.case === "hostRewriteLiteral") {
    notes.push({ text: `the host becomes ${hostRewriteSpecifier.value}`, field: "rewrite" });
  }
  for (const { cluster, runtimeFraction } of requestMirrorPolicies) {
    const share = percentText(runtimeFraction?.defaultValue);
    notes.push({
      text: `${share} of requests are sent to ${cluster} as well, whose answers are dropped`,
      field: "mirror",
    });
  }
  return notes;
}

/** What a route does to requests beside choosing where they go. */
export function routeNotes(route: Route): readonly RouteNote[] {
  const changes =
    route.requestHeadersToAdd.length +
    route.requestHeadersToRemove.length +
    route.responseHeadersToAdd.length +
    route.responseHeadersToRemove.length;
  return [
    ...faultNotes(route),
    ...(route.action.case === "route" ? actionNotes(route.action.value) : []),
    ...(changes > 0 ? [{ text: `${changes} changes of headers are made`, field: "headers" }] : []),
  ];
}
