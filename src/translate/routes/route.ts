import type { HTTPMatchRequest } from "#api/istio/http-match.ts";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { MetadataSchema } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  type Route,
  type RouteAction,
  RouteActionSchema,
  type RouteMatch,
  RouteSchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { CorsPolicySchema } from "#proto/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js";
import { HTTPFaultSchema } from "#proto/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { configPath, istioMetadata } from "../metadata.ts";
import { parseClusterName } from "../names.ts";
import { traceMetadata, type TraceStep } from "../trace.ts";
import { corsPolicy } from "./cors.ts";
import { type Destinations, routeTarget } from "./destination.ts";
import { directResponseAction } from "./direct-response.ts";
import { httpFault } from "./fault.ts";
import { headerChanges, joinHeaderChanges } from "./headers.ts";
import { matchesEverything, routeMatch } from "./match.ts";
import { mirrorPolicies } from "./mirror.ts";
import { redirectAction } from "./redirect.ts";
import { retryPolicy } from "./retry.ts";
import { hostRewrite, pathRewrite } from "./rewrite.ts";
import type { RouteDefaults, RouteOrigin, RoutingRule } from "./rule.ts";
import { matchesPlace, type RoutePlace } from "./source.ts";
import { timeouts } from "./timeout.ts";

/** What routes are made from, besides the rule itself. */
export interface RouteContext {
  readonly place: RoutePlace;
  /** Whether the listener terminates TLS. */
  readonly tls: boolean;
  readonly destinations: Destinations;
  readonly defaults: RouteDefaults;
  /** Whether each route says in its metadata where it is written. */
  readonly traced: boolean;
}

/** Names of Envoy's filters as listeners have them, under which a route's settings for them stand. */
const filterNames = { fault: "envoy.filters.http.fault", cors: "envoy.filters.http.cors" } as const;

function filterSettings(route: HTTPRoute): Route["typedPerFilterConfig"] {
  const fault = route.fault && httpFault(route.fault);
  return {
    ...(fault && { [filterNames.fault]: anyPack(HTTPFaultSchema, fault) }),
    ...(route.corsPolicy && { [filterNames.cors]: anyPack(CorsPolicySchema, corsPolicy(route.corsPolicy)) }),
  };
}

function routeAction(route: HTTPRoute, context: RouteContext): RouteAction | undefined {
  const { port } = context.place;
  const target = routeTarget(route.route ?? [], port, context.destinations);
  if (!target) return undefined;
  const hashed = route.route?.length === 1 && target.hashPolicy.length > 0;
  return create(RouteActionSchema, {
    ...target,
    ...timeouts(route.timeout),
    ...pathRewrite(route.rewrite),
    ...hostRewrite(route),
    ...(context.defaults.forwardsHost === true && { appendXForwardedHost: true }),
    requestMirrorPolicies: mirrorPolicies(route, port, context.destinations),
    retryPolicy: retryPolicy(route.retries ?? context.defaults.retries, hashed),
  });
}

/** What becomes of a request; a route that can send it nowhere answers 500, as Envoy does for a faulty backend. */
function action(route: HTTPRoute, context: RouteContext): Route["action"] {
  if (route.redirect) {
    return { case: "redirect", value: redirectAction(route.redirect, context.place.port, context.tls) };
  }
  if (route.directResponse) return { case: "directResponse", value: directResponseAction(route.directResponse) };
  const value = routeAction(route, context);
  return value ? { case: "route", value } : { case: "directResponse", value: directResponseAction({ status: 500 }) };
}

function pathText({ pathSpecifier }: RouteMatch): string {
  if (pathSpecifier.case === "prefix") return `${pathSpecifier.value}*`;
  if (pathSpecifier.case === "path") return pathSpecifier.value;
  return pathSpecifier.case === "safeRegex" ? pathSpecifier.value.regex : "/*";
}

/** The name of the route's spans: `reviews.shop.svc.cluster.local:9080/*`, or the rule's name for several destinations. */
function operation(made: Pick<Route, "action">, match: RouteMatch, rule: RoutingRule, port: number): string {
  const specifier = made.action.case === "route" ? made.action.value.clusterSpecifier : undefined;
  const cluster = specifier?.case === "cluster" ? parseClusterName(specifier.value) : undefined;
  return `${cluster ? `${cluster.host}:${cluster.port}` : `${rule.ref.name}:${port}`}${pathText(match)}`;
}

/** Where a route and its match are written, for those who explain it. */
function traceOf(origin: RouteOrigin | undefined, at: number | undefined): readonly TraceStep[] {
  if (!origin) return [];
  const { steps, ownMatches } = origin;
  return ownMatches && at !== undefined
    ? steps.map(({ ref, field }) => ({ ref, field: `${field}.match[${at}]` }))
    : steps;
}

function routeMetadata(rule: RoutingRule, trace: readonly TraceStep[]): MessageInitShape<typeof MetadataSchema> {
  const { filterMetadata } = istioMetadata({ config: configPath(rule.ref) });
  return { filterMetadata: { ...filterMetadata, ...traceMetadata(trace) } };
}

interface PlacedMatch {
  readonly route: HTTPRoute;
  readonly match: HTTPMatchRequest | undefined;
  readonly trace: readonly TraceStep[];
}

function oneRoute(rule: RoutingRule, { route, match, trace }: PlacedMatch, context: RouteContext): Route {
  const of = routeMatch(match);
  const does = action(route, context);
  const only = does.case === "route" && route.route?.length === 1 ? route.route[0] : undefined;
  const suffix = (match?.name ?? "") === "" ? "" : `.${match?.name}`;
  return create(RouteSchema, {
    name: `${route.name ?? ""}${suffix}`,
    match: of,
    action: does,
    metadata: create(MetadataSchema, routeMetadata(rule, trace)),
    decorator: { operation: operation({ action: does }, of, rule, context.place.port) },
    statPrefix: match?.statPrefix ?? "",
    typedPerFilterConfig: filterSettings(route),
    // A single destination has no place of its own for headers.
    ...joinHeaderChanges(headerChanges(route.headers), headerChanges(only?.headers)),
  });
}

/**
 * The routes of a rule at a place, in order, up to the first that takes every request. Empty when none applies there: the
 * rule then has no say for that place.
 */
export function ruleRoutes(rule: RoutingRule, context: RouteContext): Route[] {
  const routes: Route[] = [];
  for (const [index, route] of rule.http.entries()) {
    const matches = route.match && route.match.length > 0 ? route.match : [undefined];
    for (const [at, match] of matches.entries()) {
      if (!matchesPlace(match, context.place)) continue;
      const trace = context.traced ? traceOf(rule.origins[index], match && at) : [];
      const made = oneRoute(rule, { route, match, trace }, context);
      routes.push(made);
      if (made.match && matchesEverything(made.match)) return routes;
    }
  }
  return routes;
}

/** Whether a rule has any route at a place, without making one. */
export function appliesAt(rule: RoutingRule, place: RoutePlace): boolean {
  return rule.http.some(({ match = [] }) => match.length === 0 || match.some((each) => matchesPlace(each, place)));
}
