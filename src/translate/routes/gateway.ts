import { create } from "@bufbuild/protobuf";
import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import { canonical } from "#base/canonical.ts";
import { HeaderValueOptionSchema } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  type Route,
  type VirtualHost,
  VirtualHost_TlsRequirementType as TlsRequirement,
  VirtualHostSchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { type PlacedServer, serverKind } from "../gateways/server.ts";
import { http3Alpn } from "../gateways/tls.ts";
import { matchesEverything } from "./match.ts";
import { routeConfiguration } from "./outbound.ts";
import type { RouteDefaults } from "./rule.ts";
import { virtualHost, virtualHostName } from "./virtual-host.ts";

/** A server of a Gateway object, one of those that share a route configuration. */
export interface GatewayServer {
  /** The Gateway, `namespace/name`. */
  readonly gateway: string;
  /** The server's port as the Gateway says it. */
  readonly port: number;
  /** As the Gateway says them: a host, or `namespace/host` where `.` is the Gateway's own namespace and `*` any. */
  readonly hosts: readonly string[];
  /** Whether the server terminates TLS. */
  readonly tls: boolean;
  /** Whether callers without TLS are sent to HTTPS. */
  readonly httpsRedirect: boolean;
}

/** A VirtualService bound to a gateway, as far as its place there depends on it. */
export interface BoundRule {
  readonly key: string;
  readonly namespace: string;
  /** Full host names; may begin with a wildcard. */
  readonly hosts: readonly string[];
}

/** Where a gateway's virtual host gets some of its routes. */
export interface RouteOrigin {
  /** The rule's key. */
  readonly rule: string;
  readonly gateway: string;
  readonly port: number;
  readonly tls: boolean;
}

/** A gateway's virtual host before its routes are made. */
export interface GatewayHostPlan {
  /** The first of its domains, and the port. */
  readonly name: string;
  /** Hosts with the same routes, the most specific first. */
  readonly domains: readonly string[];
  readonly origins: readonly RouteOrigin[];
  readonly httpsRedirect: boolean;
}

/** What the virtual hosts of a gateway's servers are planned from. */
export interface GatewayHosts {
  /** In the order of the Gateways' age. */
  readonly servers: readonly GatewayServer[];
  /** The rules bound to a gateway that its proxies see and that have a route for the port, in the order of precedence. */
  readonly rulesOf: (gateway: string, port: number) => readonly BoundRule[];
}

/** The namespace (`*` for any) and the host in lower case of a server's host. */
function serverHost(text: string, gateway: string): { readonly namespace: string; readonly host: string } {
  const slash = text.indexOf("/");
  if (slash < 0) return { namespace: "*", host: text.toLowerCase() };
  const namespace = text.slice(0, slash);
  const own = gateway.slice(0, gateway.indexOf("/"));
  return { namespace: namespace === "." ? own : namespace, host: text.slice(slash + 1).toLowerCase() };
}

/** A placed server, as far as routes read it. */
export function gatewayServer({ gateway, server }: PlacedServer): GatewayServer {
  const { port, hosts, tls } = server;
  return {
    gateway,
    port: port.number,
    hosts,
    tls: tls !== undefined,
    httpsRedirect: tls?.httpsRedirect === true && serverKind(server) === "http",
  };
}

/** The hosts that both a server and a rule name; of a name and a wildcard over it, the narrower one. */
export function commonHosts(server: GatewayServer, rule: BoundRule): readonly string[] {
  const common = new Set<string>();
  for (const text of server.hosts) {
    const { namespace, host } = serverHost(text, server.gateway);
    if (namespace !== "*" && namespace !== rule.namespace) continue;
    for (const named of rule.hosts) {
      if (hostMatches(named, host)) common.add(host);
      else if (hostMatches(host, named)) common.add(named);
    }
  }
  return [...common];
}

/** Full names before wildcards, longer ones before shorter ones, then by text. */
function bySpecificity(a: string, b: string): number {
  return Number(isWildcard(a)) - Number(isWildcard(b)) || b.length - a.length || (a < b ? -1 : 1);
}

/** Collects what servers say of each host. */
class Plans {
  readonly #plans = new Map<string, GatewayHostPlan>();

  add(host: string, server: GatewayServer, rule?: BoundRule): void {
    const { gateway, port, tls, httpsRedirect } = server;
    const plan = this.#plans.get(host) ?? {
      name: virtualHostName(host, port),
      domains: [host],
      origins: [],
      httpsRedirect: false,
    };
    const origin = rule && { rule: rule.key, gateway, port, tls };
    const known = plan.origins.some((each) => each.rule === origin?.rule && each.gateway === gateway);
    this.#plans.set(host, {
      ...plan,
      origins: origin && !known ? [...plan.origins, origin] : plan.origins,
      httpsRedirect: plan.httpsRedirect || httpsRedirect,
    });
  }

  /** By name; hosts with the same routes are one, as in Istio: the routes are sent once, and EnvoyFilters go by its name. */
  joined(): readonly GatewayHostPlan[] {
    const sorted = [...this.#plans].toSorted(([a], [b]) => bySpecificity(a, b)).map(([, plan]) => plan);
    const alike = Map.groupBy(sorted, ({ origins, httpsRedirect }) => canonical({ origins, httpsRedirect }));
    return [...alike.values()]
      .flatMap((plans) => {
        const [first] = plans;
        return first ? [{ ...first, domains: plans.flatMap(({ domains }) => domains) }] : [];
      })
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/** The virtual hosts of servers that share a route configuration, for the hosts that a server and a rule have in common. */
export function planGatewayHosts({ servers, rulesOf }: GatewayHosts): readonly GatewayHostPlan[] {
  const plans = new Plans();
  for (const server of servers) {
    for (const rule of rulesOf(server.gateway, server.port))
      for (const host of commonHosts(server, rule)) plans.add(host, server, rule);
    if (!server.httpsRedirect) continue;
    // Callers of a host that has no rule are sent to HTTPS all the same.
    for (const text of server.hosts) plans.add(serverHost(text, server.gateway).host, server);
  }
  return plans.joined();
}

function takesEverything(route: Route): boolean {
  return route.match !== undefined && matchesEverything(route.match);
}

/**
 * A planned virtual host with its routes: those of several rules one after the other, but what takes every request last.
 * @param routesOf the routes of one origin, at its port and gateway (`ruleRoutes`).
 */
export function gatewayVirtualHost(
  plan: GatewayHostPlan,
  routesOf: (origin: RouteOrigin) => readonly Route[],
  defaults: RouteDefaults,
): VirtualHost {
  const routes = plan.origins.flatMap(routesOf);
  const ordered = [...routes.filter((route) => !takesEverything(route)), ...routes.filter(takesEverything)];
  const made = virtualHost(plan.name, plan.domains, ordered, defaults);
  if (plan.httpsRedirect) made.requireTls = TlsRequirement.ALL;
  return made;
}

/** The same, whose answers tell callers of HTTP/3 on the server's port, for a day as in Istio. RFC 7838. */
export function advertisesHttp3(host: VirtualHost, port: number): VirtualHost {
  const header = { key: "alt-svc", value: `${http3Alpn}=":${port}"; ma=86400` };
  host.responseHeadersToAdd.push(create(HeaderValueOptionSchema, { header }));
  return host;
}

/** A route configuration of a gateway's servers; without any virtual host every request gets 404. */
export function gatewayRoutes(name: string, port: number, virtualHosts: readonly VirtualHost[]): RouteConfiguration {
  const nothing = create(VirtualHostSchema, { name: virtualHostName("blackhole", port), domains: ["*"] });
  return routeConfiguration(name, virtualHosts.length > 0 ? virtualHosts : [nothing]);
}
