import type { CorsPolicy } from "#api/istio/http-route.ts";
import { create } from "@bufbuild/protobuf";
import { parseDuration } from "#base/duration.ts";
import {
  type CorsPolicy as EnvoyCorsPolicy,
  CorsPolicySchema,
} from "#proto/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js";
import type { StringMatcher } from "#proto/gen/envoy/type/matcher/v3/string_pb.js";
import { runtimeFraction, wholePercent } from "./percent.ts";
import { stringMatcher } from "./string-match.ts";

function origins(policy: CorsPolicy): StringMatcher[] {
  const matches = policy.allowOrigins ?? (policy.allowOrigin ?? []).map((exact) => ({ exact }));
  return matches.flatMap((match) => stringMatcher(match) ?? []);
}

/** The route's part of Envoy's CORS filter. */
export function corsPolicy(policy: CorsPolicy): EnvoyCorsPolicy {
  return create(CorsPolicySchema, {
    allowOriginStringMatch: origins(policy),
    allowMethods: (policy.allowMethods ?? []).join(","),
    allowHeaders: (policy.allowHeaders ?? []).join(","),
    exposeHeaders: (policy.exposeHeaders ?? []).join(","),
    maxAge: policy.maxAge === undefined ? "" : String(Math.trunc(parseDuration(policy.maxAge) / 1000)),
    allowCredentials: policy.allowCredentials,
    filterEnabled: runtimeFraction(wholePercent(100)),
    forwardNotMatchingPreflights: policy.unmatchedPreflights !== "IGNORE",
  });
}
