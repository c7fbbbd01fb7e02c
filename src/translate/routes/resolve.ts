import type { Destination } from "#api/istio/common.ts";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { Finding } from "#api/finding.ts";
import { isExportedTo } from "#model/exports.ts";
import { resolveHost } from "#model/hosts.ts";
import type { Config } from "#model/rows.ts";
import { resolveGateway } from "#model/virtualservices.ts";
import { mergeDelegate } from "./delegate.ts";
import { ruleFindings } from "./findings.ts";
import type { RouteOrigin, RoutingRule } from "./rule.ts";

/** A VirtualService object. */
export type VirtualServiceRow = Config<VirtualServiceSpec>;

/** What delegates are looked up with. */
export interface Delegates {
  readonly find: (namespace: string, name: string) => VirtualServiceRow | undefined;
  /** Whom a delegate is exported to, the mesh's default filled in. */
  readonly exportTo: (delegate: VirtualServiceRow) => readonly string[];
}

/** The same destination with its host's full name. */
export function resolveDestination(destination: Destination, namespace: string): Destination {
  return { ...destination, host: resolveHost(destination.host, namespace) };
}

/** The same match with its gateways' full names. */
export function resolveGateways<Match extends { readonly gateways?: readonly string[] }>(
  match: Match,
  namespace: string,
): Match {
  const { gateways } = match;
  return gateways ? { ...match, gateways: gateways.map((gateway) => resolveGateway(gateway, namespace)) } : match;
}

function resolveRoute(route: HTTPRoute, namespace: string): HTTPRoute {
  const full = (destination: Destination): Destination => resolveDestination(destination, namespace);
  const { match, route: destinations, mirror, mirrors } = route;
  return {
    ...route,
    ...(match && { match: match.map((each) => resolveGateways(each, namespace)) }),
    ...(destinations && { route: destinations.map((each) => ({ ...each, destination: full(each.destination) })) }),
    ...(mirror && { mirror: full(mirror) }),
    ...(mirrors && { mirrors: mirrors.map((each) => ({ ...each, destination: full(each.destination) })) }),
  };
}

interface Expansion {
  readonly routes: readonly HTTPRoute[];
  readonly origins: readonly RouteOrigin[];
  readonly findings: readonly Finding[];
}

/** The routes that stand for one that delegates; none, and a finding, when the delegate cannot be had. */
function expand(route: HTTPRoute, at: number, config: VirtualServiceRow, delegates: Delegates): Expansion {
  const resolved = resolveRoute(route, config.namespace);
  const here = { ref: config.ref, field: `spec.http[${at}]` };
  if (!route.delegate) {
    return { routes: [resolved], origins: [{ steps: [here], ownMatches: true }], findings: [] };
  }
  const { name = "", namespace = "" } = route.delegate;
  const owner = namespace === "" ? config.namespace : namespace;
  const problem = (code: string, message: string): Finding => ({
    code,
    severity: "warning",
    resource: config.ref,
    field: `spec.http[${at}].delegate`,
    message,
  });
  const delegate = delegates.find(owner, name);
  if (!delegate || (delegate.spec.hosts ?? []).length > 0) {
    const message = `There is no VirtualService ${owner}/${name} without hosts to delegate to; the route is left out.`;
    return { routes: [], origins: [], findings: [problem("UnknownDelegate", message)] };
  }
  if (!isExportedTo(delegates.exportTo(delegate), owner, config.namespace)) {
    const message = `VirtualService ${owner}/${name} is not exported to ${config.namespace}; the route is left out.`;
    return { routes: [], origins: [], findings: [problem("DelegateNotVisible", message)] };
  }
  const leaves = (delegate.spec.http ?? []).map((leaf) => resolveRoute(leaf, owner));
  const merged = mergeDelegate(resolved, leaves);
  const dropped = leaves.length - merged.length;
  const origins = merged.map(({ leaf }) => {
    return { steps: [here, { ref: delegate.ref, field: `spec.http[${leaf}]` }], ownMatches: false };
  });
  const message = `${dropped} routes of VirtualService ${owner}/${name} are left out: they match requests that this route does not.`;
  const routes = merged.map(({ route: each }) => each);
  return { routes, origins, findings: dropped > 0 ? [problem("DelegateConflict", message)] : [] };
}

/** A VirtualService as routing reads it, and what it says to no effect. */
export function routingRule(
  config: VirtualServiceRow,
  delegates: Delegates,
): { readonly rule: RoutingRule; readonly findings: readonly Finding[] } {
  const { ref, spec } = config;
  const expansions = (spec.http ?? []).map((route, at) => expand(route, at, config, delegates));
  return {
    rule: {
      ref,
      http: expansions.flatMap(({ routes }) => routes),
      origins: expansions.flatMap(({ origins }) => origins),
    },
    findings: [...expansions.flatMap(({ findings }) => findings), ...ruleFindings(ref, spec)],
  };
}
