import { create } from "@bufbuild/protobuf";
import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import type { VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { type Domain, hostDomains, type NamedService } from "./domains.ts";
import { virtualHostName } from "./virtual-host.ts";

/** On this port rules also serve their hosts where no service on the port is among them, as in Istio. */
export const plainHttpPort = 80;

/** A host with VirtualServices for it, by their keys in the order of precedence. */
interface HostWithRules {
  /** In full; may begin with a wildcard. */
  readonly host: string;
  readonly rules: readonly string[];
}

/** What the virtual hosts of a sidecar's port are planned from. */
export interface OutboundHosts {
  readonly port: number;
  /** The caller's namespace, in which short names are meant. */
  readonly namespace: string;
  /** The services that the caller sees with an HTTP or a sniffed port of that number. */
  readonly services: readonly NamedService[];
  /** Hosts with rules that the caller sees, the most specific first. */
  readonly hosts: readonly HostWithRules[];
  /** Every rule of these hosts, those first that go before others. */
  readonly precedence: readonly string[];
  /** Whether a rule has any route for the caller on the port (`appliesAt`). */
  readonly applies: (rule: string) => boolean;
}

/** A virtual host before its routes are made. */
export interface VirtualHostPlan {
  /** `host:port`; no other virtual host of the port has it. */
  readonly name: string;
  readonly host: string;
  readonly domains: readonly string[];
  /** The rule that gives the routes; absent for the service's default route. */
  readonly rule?: string;
}

interface Candidate {
  readonly host: string;
  readonly domains: readonly Domain[];
  readonly rule?: string;
}

/**
 * The rules that may serve a service: all that name it in full; only where there is none, the first with the narrowest
 * wildcard that fits.
 */
function rulesFor(service: string, exact: ReadonlyMap<string, readonly string[]>, wildcards: readonly HostWithRules[]) {
  const named = exact.get(service);
  if (named) return named;
  return wildcards.find(({ host }) => hostMatches(host, service))?.rules.slice(0, 1) ?? [];
}

/**
 * Virtual hosts before names and domains are made unique, in the order in which they may claim them: those with rules by
 * their rules, of one rule the hosts that are no services first.
 */
function candidates(given: OutboundHosts): readonly Candidate[] {
  const { port, namespace, services, hosts, applies } = given;
  const exact = new Map(hosts.map(({ host, rules }) => [host, rules]));
  const wildcards = hosts.filter(({ host }) => isWildcard(host));
  const known = new Set(services.map(({ host }) => host));
  const onPort = new Set<string>();
  const ofServices = services.map((service): Candidate => {
    const rules = rulesFor(service.host, exact, wildcards).filter(applies);
    for (const rule of rules) onPort.add(rule);
    const [rule] = rules;
    const domains = service.domainsAtHome.get(namespace) ?? service.domains;
    return { host: service.host, domains, ...(rule !== undefined && { rule }) };
  });
  const isKnown = (host: string): boolean =>
    isWildcard(host) ? services.some((service) => hostMatches(host, service.host)) : known.has(host);
  const others = hosts.flatMap(({ host, rules }): readonly Candidate[] => {
    if (isKnown(host)) return [];
    const rule = rules.find((each) => (port === plainHttpPort || onPort.has(each)) && applies(each));
    return rule === undefined ? [] : [{ host, domains: hostDomains(host), rule }];
  });
  const aliases = new Set(services.filter(({ isAlias }) => isAlias).map(({ host }) => host));
  const rank = new Map(given.precedence.map((rule, at) => [rule, at]));
  const ruled = [...others, ...ofServices.filter(({ rule }) => rule !== undefined)].toSorted(
    (a, b) => (rank.get(a.rule ?? "") ?? 0) - (rank.get(b.rule ?? "") ?? 0),
  );
  return [...ruled, ...ofServices.filter(({ host }) => !aliases.has(host))];
}

/** The virtual hosts of a sidecar's port, and who has which name. */
export interface PlannedPort {
  /** By their names, sorted. */
  readonly plans: readonly VirtualHostPlan[];
  /** Every domain that one of them has, and every service's full name. */
  readonly claimed: ReadonlySet<string>;
  /** Names of virtual hosts that lost a domain to another. */
  readonly crowded: ReadonlySet<string>;
}

/**
 * Plans the virtual hosts of a sidecar's port. Each domain belongs to one of them, which Envoy insists on: the first to
 * claim it, except that a short name never takes another service's full one.
 */
export function planVirtualHosts(hosts: OutboundHosts): PlannedPort {
  const full = new Set(hosts.services.map(({ host }) => host));
  const claimed = new Set<string>();
  const crowded = new Set<string>();
  const plans = new Map<string, VirtualHostPlan>();
  for (const { host, domains, rule } of candidates(hosts)) {
    const name = virtualHostName(host, hosts.port);
    if (plans.has(name)) continue;
    const free: string[] = [];
    for (const { domain, derived } of domains) {
      if (claimed.has(domain) || (derived && full.has(domain))) continue;
      claimed.add(domain);
      free.push(domain);
    }
    if (free.length < domains.length) crowded.add(name);
    if (free.length > 0) plans.set(name, { name, host, domains: free, ...(rule !== undefined && { rule }) });
  }
  const sorted = [...plans.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { plans: sorted, claimed: claimed.union(full), crowded };
}

/**
 * The virtual hosts that come out otherwise for callers of one namespace, whose rules are those of a caller of none: of
 * the services that have shorter names there. Undefined where such a name is in dispute, so that all must be planned.
 * @param planOf the plan for a caller of no namespace, by its name.
 * @param services those with shorter names in the namespace.
 */
export function plansAtHome(
  { claimed, crowded }: Omit<PlannedPort, "plans">,
  planOf: (name: string) => VirtualHostPlan | undefined,
  services: readonly NamedService[],
  { port, namespace }: Pick<OutboundHosts, "port" | "namespace">,
): readonly VirtualHostPlan[] | undefined {
  const shorter = new Set<string>();
  const plans: VirtualHostPlan[] = [];
  for (const { host, domains, domainsAtHome } of services) {
    const name = virtualHostName(host, port);
    const plan = planOf(name);
    if (crowded.has(name)) return undefined;
    if (!plan) continue;
    const abroad = new Set(domains.map(({ domain }) => domain));
    const atHome = (domainsAtHome.get(namespace) ?? []).map(({ domain }) => domain);
    const added = atHome.filter((domain) => !abroad.has(domain));
    if (atHome.length !== abroad.size + added.length) return undefined;
    if (added.some((domain) => claimed.has(domain) || shorter.has(domain))) return undefined;
    for (const domain of added) shorter.add(domain);
    plans.push({ ...plan, domains: atHome });
  }
  return plans;
}

/** The largest body of a direct response, as Istio allows; Envoy's own limit is 4 KiB. */
const maxDirectResponseBytes = 1_048_576;

/** A route configuration as all of ours are; unless told, a `Host` means the same with and without its port. */
export function routeConfiguration(
  name: string,
  virtualHosts: readonly VirtualHost[],
  ignorePort = true,
): RouteConfiguration {
  return create(RouteConfigurationSchema, {
    name,
    virtualHosts: [...virtualHosts],
    // A route may name a cluster that is not there yet; refusing the whole configuration would hold back the rest.
    validateClusters: false,
    maxDirectResponseBodySizeBytes: maxDirectResponseBytes,
    ignorePortInHostMatching: ignorePort,
  });
}
