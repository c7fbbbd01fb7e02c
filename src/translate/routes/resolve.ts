import type { Destination } from "#api/istio/common.ts";
import type { HTTPMatchRequest } from "#api/istio/http-match.ts";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { Finding } from "#api/finding.ts";
import type { ObjectRef } from "#api/meta.ts";
import { resolveHost } from "#model/hosts.ts";
import { mergeDelegate } from "./delegate.ts";
import { isVisible, meshGateway, type RoutingRule } from "./rule.ts";

/** A VirtualService object, as far as routing reads it. */
export interface VirtualServiceConfig {
  readonly ref: ObjectRef;
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  readonly spec: VirtualServiceSpec;
}

/** Looks a VirtualService up by name. */
export type FindVirtualService = (namespace: string, name: string) => VirtualServiceConfig | undefined;

/** A gateway's name in full: `./gw`, `gw` and the old `gw.ns.svc.cluster.local` are `namespace/gw`. */
export function resolveGateway(name: string, namespace: string): string {
  if (name === meshGateway) return name;
  if (name.startsWith("./")) return `${namespace}/${name.slice(2)}`;
  if (name.includes("/")) return name;
  const [first = "", second] = name.split(".");
  return second === undefined ? `${namespace}/${name}` : `${second}/${first}`;
}

function resolveDestination(destination: Destination, namespace: string): Destination {
  return { ...destination, host: resolveHost(destination.host, namespace) };
}

function resolveMatch(match: HTTPMatchRequest, namespace: string): HTTPMatchRequest {
  const { gateways } = match;
  return gateways ? { ...match, gateways: gateways.map((gateway) => resolveGateway(gateway, namespace)) } : match;
}

function resolveRoute(route: HTTPRoute, namespace: string): HTTPRoute {
  const full = (destination: Destination): Destination => resolveDestination(destination, namespace);
  const { match, route: destinations, mirror, mirrors } = route;
  return {
    ...route,
    ...(match && { match: match.map((each) => resolveMatch(each, namespace)) }),
    ...(destinations && { route: destinations.map((each) => ({ ...each, destination: full(each.destination) })) }),
    ...(mirror && { mirror: full(mirror) }),
    ...(mirrors && { mirrors: mirrors.map((each) => ({ ...each, destination: full(each.destination) })) }),
  };
}

/** Namespaces that see an object; `.` is its own, and all do unless told. */
function exportedTo(exportTo: readonly string[] | undefined, namespace: string): readonly string[] {
  if (!exportTo || exportTo.length === 0) return ["*"];
  return [...new Set(exportTo.map((each) => (each === "." ? namespace : each)))];
}

interface Expansion {
  readonly routes: readonly HTTPRoute[];
  readonly findings: readonly Finding[];
}

/** The routes that stand for one that delegates; none, and a finding, when the delegate cannot be had. */
function expand(route: HTTPRoute, at: number, config: VirtualServiceConfig, find: FindVirtualService): Expansion {
  const resolved = resolveRoute(route, config.namespace);
  if (!route.delegate) return { routes: [resolved], findings: [] };
  const { name = "", namespace = "" } = route.delegate;
  const owner = namespace === "" ? config.namespace : namespace;
  const problem = (code: string, message: string): Finding => ({
    code,
    severity: "warning",
    resource: config.ref,
    field: `spec.http[${at}].delegate`,
    message,
  });
  const delegate = find(owner, name);
  if (!delegate || (delegate.spec.hosts ?? []).length > 0) {
    const message = `There is no VirtualService ${owner}/${name} without hosts to delegate to; the route is left out.`;
    return { routes: [], findings: [problem("UnknownDelegate", message)] };
  }
  if (!isVisible({ exportTo: exportedTo(delegate.spec.exportTo, owner) }, config.namespace)) {
    const message = `VirtualService ${owner}/${name} is not exported to ${config.namespace}; the route is left out.`;
    return { routes: [], findings: [problem("DelegateNotVisible", message)] };
  }
  const leaves = (delegate.spec.http ?? []).map((leaf) => resolveRoute(leaf, owner));
  const { routes, dropped } = mergeDelegate(resolved, leaves);
  const message = `${dropped} routes of VirtualService ${owner}/${name} are left out: they match requests that this route does not.`;
  return { routes, findings: dropped > 0 ? [problem("DelegateConflict", message)] : [] };
}

/**
 * A VirtualService as routing reads it, and what is wrong with its delegates.
 * @returns undefined as rule for one without hosts, which only others delegate to.
 */
export function routingRule(
  config: VirtualServiceConfig,
  find: FindVirtualService,
): { readonly rule: RoutingRule | undefined; readonly findings: readonly Finding[] } {
  const { namespace, name, created, spec } = config;
  const hosts = (spec.hosts ?? []).map((host) => resolveHost(host, namespace).toLowerCase());
  if (hosts.length === 0) return { rule: undefined, findings: [] };
  const expansions = (spec.http ?? []).map((route, at) => expand(route, at, config, find));
  const gateways = (spec.gateways ?? []).map((gateway) => resolveGateway(gateway, namespace));
  const rule: RoutingRule = {
    namespace,
    name,
    created,
    hosts: [...new Set(hosts)],
    gateways: gateways.length > 0 ? gateways : [meshGateway],
    exportTo: exportedTo(spec.exportTo, namespace),
    http: expansions.flatMap(({ routes }) => routes),
  };
  return { rule, findings: expansions.flatMap(({ findings }) => findings) };
}
