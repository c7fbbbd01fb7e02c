import { create } from "@bufbuild/protobuf";
import { hostMatches, isWildcard } from "#model/hosts.ts";
import type { VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { type Domain, hostDomains, type NamedService, serviceDomains } from "./domains.ts";
import { type RouteContext, appliesAt, ruleRoutes } from "./route.ts";
import { type RoutingRule, ruleKey, RulesByHost } from "./rule.ts";
import type { RoutePlace } from "./source.ts";
import { catchAll, defaultRoute, type UnknownHosts, virtualHost, virtualHostName } from "./virtual-host.ts";

/** On this port rules also serve hosts when no service on the port has a rule of theirs, as in Istio. */
const plainHttpPort = 80;

/** What the virtual hosts of a sidecar's port are planned from. */
export interface OutboundHosts {
  readonly place: RoutePlace;
  /** The caller's namespace, in which short names are meant. */
  readonly namespace: string;
  /** The services that the caller sees with an HTTP or a sniffed port of the place's number. */
  readonly services: readonly NamedService[];
  /** The rules of the mesh that the caller sees, in the order of precedence (`compareRules`). */
  readonly rules: readonly RoutingRule[];
}

/** A virtual host before its routes are made. */
export interface VirtualHostPlan {
  /** `host:port`; no other virtual host of the port has it. */
  readonly name: string;
  readonly host: string;
  readonly domains: readonly string[];
  /** The rule that gives the routes (`ruleKey`); absent for the service's default route. */
  readonly rule?: string;
}

interface Candidate {
  readonly host: string;
  readonly domains: readonly Domain[];
  readonly rule?: string;
}

/** The rule for each service of the port that has one which applies, by the service's host. */
function rulesOfServices(hosts: OutboundHosts): ReadonlyMap<string, RoutingRule> {
  const byHost = new RulesByHost(hosts.rules);
  return new Map(
    hosts.services.flatMap(({ host }) => {
      const rule = byHost.for(host).find((each) => appliesAt(each, hosts.place));
      return rule ? [[host, rule] as const] : [];
    }),
  );
}

/** The hosts of a rule that are no services of the port. */
function otherHosts(rule: RoutingRule, services: ReadonlySet<string>): readonly string[] {
  return rule.hosts.filter((host) =>
    isWildcard(host) ? ![...services].some((service) => hostMatches(host, service)) : !services.has(host),
  );
}

/** Virtual hosts before names and domains are made unique, in the order in which they may claim them. */
function candidates(hosts: OutboundHosts): readonly Candidate[] {
  const { services, rules, place, namespace } = hosts;
  const ruleOf = rulesOfServices(hosts);
  const known = new Set(services.map(({ host }) => host));
  const ofService = (service: NamedService, rule?: string): Candidate => ({
    host: service.host,
    domains: serviceDomains(service, namespace),
    ...(rule !== undefined && { rule }),
  });
  const servedBy = Map.groupBy(services, ({ host }) => ruleOf.get(host));
  const ofRule = (rule: RoutingRule): readonly Candidate[] => {
    const served = servedBy.get(rule) ?? [];
    if (!appliesAt(rule, place) || (served.length === 0 && place.port !== plainHttpPort)) return [];
    const key = ruleKey(rule);
    const others = otherHosts(rule, known).map((host) => ({ host, domains: hostDomains(host), rule: key }));
    return [...others, ...served.map((service) => ofService(service, key))];
  };
  const withoutRule = (servedBy.get(undefined) ?? []).toSorted((a, b) => (a.host < b.host ? -1 : 1));
  return [...rules.flatMap(ofRule), ...withoutRule.map((service) => ofService(service))];
}

/**
 * The virtual hosts of a sidecar's port, by name. Each domain belongs to one of them, which Envoy insists on: the first
 * to claim it, except that a short name never takes another service's full one.
 */
export function planVirtualHosts(hosts: OutboundHosts): readonly VirtualHostPlan[] {
  const full = new Set(hosts.services.map(({ host }) => host));
  const taken = new Set<string>();
  const plans = new Map<string, VirtualHostPlan>();
  for (const { host, domains, rule } of candidates(hosts)) {
    const name = virtualHostName(host, hosts.place.port);
    if (plans.has(name)) continue;
    const free = domains.filter(({ domain, derived }) => !taken.has(domain) && !(derived && full.has(domain)));
    const unique = [...new Set(free.map(({ domain }) => domain))];
    if (unique.length === 0) continue;
    for (const domain of unique) taken.add(domain);
    plans.set(name, { name, host, domains: unique, ...(rule !== undefined && { rule }) });
  }
  return [...plans.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * A planned virtual host with its routes.
 * @param rule the one that the plan names; undefined where it names none.
 */
export function outboundVirtualHost(
  plan: VirtualHostPlan,
  rule: RoutingRule | undefined,
  context: RouteContext,
): VirtualHost {
  const routes = rule ? ruleRoutes(rule, context) : [defaultRoute(plan.host, context)];
  return virtualHost(plan.name, plan.domains, routes);
}

/** The largest body of a direct response, as Istio allows; Envoy's own limit is 4 KiB. */
const maxDirectResponseBytes = 1_048_576;

/** A route configuration as all of ours are. */
export function routeConfiguration(name: string, virtualHosts: readonly VirtualHost[]): RouteConfiguration {
  return create(RouteConfigurationSchema, {
    name,
    virtualHosts: [...virtualHosts],
    // A route may name a cluster that is not there yet; refusing the whole configuration would hold back the rest.
    validateClusters: false,
    maxDirectResponseBodySizeBytes: maxDirectResponseBytes,
    ignorePortInHostMatching: true,
  });
}

/** The route configuration of a sidecar's port (`9080`). */
export function portRoutes(
  name: string,
  virtualHosts: readonly VirtualHost[],
  others: UnknownHosts,
): RouteConfiguration {
  return routeConfiguration(name, [...virtualHosts, catchAll(others)]);
}

/**
 * The route configuration of one service's port whose protocol is sniffed (`reviews.shop.svc.cluster.local:9080`). Its
 * listener has the service's address, so every `Host` is meant for the service.
 */
export function serviceRoutes(name: string, service: VirtualHost | undefined): RouteConfiguration {
  return routeConfiguration(name, service ? [{ ...service, domains: ["*"] }] : []);
}
