import type { Route, RouteAction, VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { VirtualHost_TlsRequirementType as TlsRequirement } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import type { HttpConnectionManager } from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { parseClusterName } from "#translate/names.ts";
import { tracesOf } from "#translate/trace.ts";
import { type ExplainContext, policyReasons } from "./context.ts";
import { reachedCluster } from "./destinations.ts";
import type { ReachedCluster, Reason, Step } from "./explanation.ts";
import type { Connection } from "./filter-chains.ts";
import { callOf } from "./policies/arrived.ts";
import { decisions } from "./policies/decisions.ts";
import { headersOf, type SentHeaders, sentHeaders } from "./policies/sent.ts";
import { authority, type ExplainedRequest } from "./request.ts";
import { matchedRequest, routeMismatch } from "./route-match.ts";
import { routeNotes } from "./route-notes.ts";
import { virtualHostFor } from "./virtual-hosts.ts";

/** The rest of a request's way. */
export interface Onward {
  readonly steps: readonly Step[];
  readonly destinations: readonly ReachedCluster[];
}

/** Path of the HTTPRoute within its object, of a trace that may end in one of its matches. */
function routeField(field: string): string {
  return field.replace(/\.match\[\d+\]$/, "");
}

interface Shared {
  readonly cluster: string;
  readonly share: number;
}

function sharesOf({ clusterSpecifier }: RouteAction): readonly Shared[] {
  if (clusterSpecifier.case === "cluster") return [{ cluster: clusterSpecifier.value, share: 1 }];
  if (clusterSpecifier.case !== "weightedClusters") return [];
  const { clusters } = clusterSpecifier.value;
  const total = clusters.reduce((sum, { weight }) => sum + (weight ?? 0), 0);
  return clusters.map(({ name, weight }) => ({ cluster: name, share: total === 0 ? 0 : (weight ?? 0) / total }));
}

interface WrittenDestination {
  readonly destination?: { readonly host?: string; readonly subset?: string };
}

/** The entry of the object's `route` list that names a cluster, if it can be told. */
function destinationReason(context: ExplainContext, written: Reason | undefined, cluster: string): readonly Reason[] {
  const list = written && context.cite(written.ref, `${routeField(written.field)}.route`);
  const parts = parseClusterName(cluster);
  if (!list || !parts || !Array.isArray(list.value)) return [];
  const index = (list.value as readonly WrittenDestination[]).findIndex(({ destination }) => {
    const host = destination?.host ?? "";
    return (destination?.subset ?? "") === parts.subset && (host === parts.host || parts.host.startsWith(`${host}.`));
  });
  return index < 0 ? [] : [context.cite(list.ref, `${list.field}[${index}]`)];
}

function noteSteps(context: ExplainContext, route: Route, written: Reason | undefined): readonly Step[] {
  return routeNotes(route).map(({ text, field }) => {
    const reason = written && context.cite(written.ref, `${routeField(written.field)}.${field}`);
    // What the object does not say is Istio's default.
    return { name: "note" as const, text, because: reason?.value === undefined ? [] : [reason] };
  });
}

function answered(route: Route, because: readonly Reason[]): Step | undefined {
  const { case: kind, value } = route.action;
  if (kind === "directResponse") {
    return { name: "answer", text: `the proxy itself answers with status ${value.status}`, because };
  }
  if (kind !== "redirect") return undefined;
  const code = [301, 302, 303, 307, 308][value.responseCode] ?? 301;
  const { pathRewriteSpecifier: rewrite } = value;
  const path = typeof rewrite.value === "string" ? `, path ${rewrite.value}` : "";
  const host = value.hostRedirect === "" ? "" : `, host ${value.hostRedirect}`;
  return { name: "answer", text: `the caller is sent elsewhere with ${code}${host}${path}`, because };
}

/** Whether a virtual host is there for what no other one is for. */
function isCatchAll({ name }: VirtualHost): boolean {
  return name === "allow_any" || name === "block_all";
}

/** A request on its way through routes. */
interface Routed {
  readonly routes: RouteConfiguration;
  readonly virtualHost: VirtualHost;
  /** Its headers as they are when it is routed. */
  readonly headers: SentHeaders;
}

/** What becomes of a request that a route takes. */
function taken(context: ExplainContext, { routes, virtualHost, headers }: Routed, route: Route, at: number): Onward {
  const traces = tracesOf(route.metadata).map(({ ref, field }) => context.cite(ref, field));
  const because = traces.length === 0 && isCatchAll(virtualHost) ? policyReasons(context) : traces;
  const written = traces.at(-1);
  const name = route.name === "" ? "" : ` "${route.name}"`;
  const text = `route ${at + 1} of ${virtualHost.routes.length}${name} matches`;
  const step: Step = { name: "route", resource: virtualHost.name, text, because };
  const answer = answered(route, because);
  const notes = noteSteps(context, route, written);
  if (answer) return { steps: [step, ...notes, answer], destinations: [] };
  const shares = route.action.case === "route" ? sharesOf(route.action.value) : [];
  const sent = sentHeaders(headers, routes, virtualHost, route);
  return {
    steps: [step, ...notes],
    destinations: shares.map(({ cluster, share }) =>
      reachedCluster(context, cluster, share, destinationReason(context, written, cluster), sent),
    ),
  };
}

function unanswered(text: string): Onward {
  return { steps: [{ name: "answer", text, because: [] }], destinations: [] };
}

/** Looks at one route after the other, as Envoy does. */
function routed(context: ExplainContext, request: ExplainedRequest, way: Routed): Onward {
  const { virtualHost } = way;
  const matched = matchedRequest(request);
  const passed: Step[] = [];
  for (const [at, route] of virtualHost.routes.entries()) {
    const mismatch = route.match ? routeMismatch(route.match, matched) : "it has no match";
    if (mismatch === undefined) {
      const onward = taken(context, way, route, at);
      return { ...onward, steps: [...passed, ...onward.steps] };
    }
    const because = tracesOf(route.metadata).map(({ ref, field }) => context.cite(ref, field));
    passed.push({
      name: "route",
      resource: virtualHost.name,
      text: `route ${at + 1} is passed over: ${mismatch}`,
      because,
    });
  }
  const onward = unanswered("no route matches: the proxy answers with 404");
  return { ...onward, steps: [...passed, ...onward.steps] };
}

function configurationOf(
  { resources }: ExplainContext,
  { routeSpecifier }: HttpConnectionManager,
): RouteConfiguration | undefined {
  if (routeSpecifier.case === "rds") return resources.routes(routeSpecifier.value.routeConfigName);
  return routeSpecifier.case === "routeConfig" ? routeSpecifier.value : undefined;
}

/** The way of a request from the choice of a route on. */
function routedBy(
  context: ExplainContext,
  manager: HttpConnectionManager,
  request: ExplainedRequest,
  headers: SentHeaders,
): Onward {
  const routes = configurationOf(context, manager);
  if (!routes) return unanswered("the listener's routes are not there: the proxy answers with 404");
  const virtualHost = virtualHostFor(routes, authority(request));
  if (!virtualHost)
    return unanswered(`no virtual host of ${routes.name} is for ${authority(request)}: the proxy answers with 404`);
  const step: Step = {
    name: "virtual host",
    resource: routes.name,
    text: `${virtualHost.name} is for ${authority(request)}`,
    because: [],
  };
  if (virtualHost.requireTls === TlsRequirement.ALL && request.scheme === "http") {
    const answer = unanswered("callers without TLS are sent to https with 301");
    return { ...answer, steps: [step, ...answer.steps] };
  }
  const onward = routed(context, request, { routes, virtualHost, headers });
  return { ...onward, steps: [step, ...onward.steps] };
}

/**
 * The way of a request from the filter that speaks HTTP on: what policies of the proxy say, then its route.
 * @param connection that the request came by.
 */
export function httpOnward(
  context: ExplainContext,
  manager: HttpConnectionManager,
  request: ExplainedRequest,
  connection: Connection,
): Onward {
  const before = headersOf(request);
  const { steps, allowed, call } = decisions(
    context,
    context.proxy,
    manager.httpFilters,
    callOf(context, before, connection),
  );
  if (!allowed) return { steps, destinations: [] };
  const onward = routedBy(context, manager, request, call.headers ?? before);
  return { ...onward, steps: [...steps, ...onward.steps] };
}
