import type { HTTPRewrite, HTTPRoute } from "#api/istio/http-route.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RouteActionSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { hostOf } from "./headers.ts";
import { regexMatcher } from "./string-match.ts";

type RouteActionInit = MessageInitShape<typeof RouteActionSchema>;

/** The path's new form: a regular expression's substitution goes before a new prefix. */
export function pathRewrite(rewrite: HTTPRewrite | undefined): Pick<RouteActionInit, "prefixRewrite" | "regexRewrite"> {
  const regex = rewrite?.uriRegexRewrite;
  if (regex) return { regexRewrite: { pattern: regexMatcher(regex.match ?? ""), substitution: regex.rewrite ?? "" } };
  return rewrite?.uri === undefined || rewrite.uri === "" ? {} : { prefixRewrite: rewrite.uri };
}

/** The new host: a rewrite's, or that of the route's header operations, or the only destination's. */
export function hostRewrite(route: HTTPRoute): Pick<RouteActionInit, "hostRewriteSpecifier"> {
  const only = route.route?.length === 1 ? route.route[0] : undefined;
  const rewritten = route.rewrite?.authority === "" ? undefined : route.rewrite?.authority;
  const value = rewritten ?? hostOf(route.headers) ?? hostOf(only?.headers);
  return value === undefined ? {} : { hostRewriteSpecifier: { case: "hostRewriteLiteral", value } };
}
