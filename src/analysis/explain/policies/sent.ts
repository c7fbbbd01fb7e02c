import type { HeaderValueOption } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import type { Route, VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { matchedRequest } from "../route-match.ts";
import type { ExplainedRequest } from "../request.ts";
import type { Call, Maybe } from "./call.ts";

/** A request's headers as they leave a proxy, with pseudo headers. */
export type SentHeaders = NonNullable<Call["headers"]>;

/** What may change headers. */
interface Changing {
  readonly requestHeadersToAdd: readonly HeaderValueOption[];
  readonly requestHeadersToRemove: readonly string[];
}

function changedBy({ requestHeadersToAdd: add, requestHeadersToRemove: remove }: Changing): readonly string[] {
  return [...add.map(({ header }) => header?.key ?? ""), ...remove].map((name) => name.toLowerCase());
}

/** Headers that a route changes before it sends a request on. */
function changed(routes: RouteConfiguration, host: VirtualHost, route: Route): readonly string[] {
  const all: readonly Changing[] = [routes, host, route];
  const names = all.flatMap(changedBy);
  if (route.action.case !== "route") return names;
  const { prefixRewrite, regexRewrite, hostRewriteSpecifier, clusterSpecifier } = route.action.value;
  const weighted = clusterSpecifier.case === "weightedClusters" ? clusterSpecifier.value.clusters : [];
  return [
    ...names,
    ...weighted.flatMap(changedBy),
    ...(prefixRewrite !== "" || regexRewrite ? [":path"] : []),
    ...(hostRewriteSpecifier.case === undefined ? [] : [":authority"]),
  ];
}

/** The headers of a request as its program sends them. */
export function headersOf(request: ExplainedRequest): SentHeaders {
  return matchedRequest(request).headers;
}

/** The headers with which a route sends a request on: what it changes is not worked out. */
export function sentHeaders(
  before: SentHeaders,
  routes: RouteConfiguration,
  host: VirtualHost,
  route: Route,
): SentHeaders {
  const rewritten = changed(routes, host, route).map((name): readonly [string, Maybe<string>] => {
    const called = name.startsWith(":") ? `the ${name.slice(1)}` : `the header ${name}`;
    return [name, { needs: `${called}, which the route changes` }];
  });
  return new Map([...before, ...rewritten]);
}
