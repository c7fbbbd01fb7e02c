import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Bucket, bucketKey } from "#model/clients.ts";
import { type Client, clientKey } from "#model/client.ts";
import type { Model } from "#model/model.ts";
import { isHttp, listenerProtocol } from "#model/protocol.ts";
import { addressesIn, noAddress } from "#model/service.ts";
import { meshGateway } from "#model/virtualservices.ts";
import { type EncodedResource, sameResource } from "#proto/encoded.ts";
import type { VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { parseRouteName, type RouteName, routeName } from "../names.ts";
import type { UnclaimedQuery } from "../unclaimed.ts";
import { commonView, routeViewKey, type SidecarRouteView } from "../view.ts";
import { type NamedService, namedService } from "./domains.ts";
import { encodeHost, encodeRoutes, encodeVirtualHost, hostResourceName } from "./encoded.ts";
import { plainHttpPort, type PlannedPort, planVirtualHosts, plansAtHome } from "./outbound.ts";
import { type IdentifiedPlan, identified, type PlansByName, PortPlans, samePlans } from "./port-plans.ts";
import type { RoutingRuleQueries } from "./rule-queries.ts";
import { placeKey, type RoutePlace, type RouteSource } from "./source.ts";
import { byName, catchAll, virtualHost, virtualHostName } from "./virtual-host.ts";

/** A port of the mesh as a sidecar sees it. */
interface SidecarPort {
  readonly view: SidecarRouteView;
  readonly port: number;
}

/** A route configuration of a sidecar by its name. */
interface SidecarRoutes {
  readonly view: SidecarRouteView;
  readonly name: string;
}

/** Outbound routes of sidecars. */
export interface SidecarRouteQueries {
  /** The virtual hosts of a port without their routes. */
  readonly plans: Query<SidecarPort, PortPlans>;
  /** A route configuration: of a port, or of a sniffed port of one service. */
  readonly configuration: Query<SidecarRoutes, EncodedResource | undefined>;
  /** Whether a port's virtual hosts are those of the common view, some of them replaced, and others. */
  readonly extendsCommon: (at: SidecarPort) => boolean;
  /** Names of the virtual hosts of a port, less those that are as in the common view. */
  readonly hostNames: (at: SidecarPort) => readonly string[];
  /** One of them as a resource of its own, by the resource's name. */
  readonly host: (at: SidecarPort, name: string) => EncodedResource | undefined;
}

/** The virtual hosts of a port that are not as in the common view, and whether all of that view's are there. */
interface OwnHosts {
  readonly plans: PlansByName;
  readonly extendsCommon: boolean;
}

/** A virtual host before its routes are made, for all callers for whom it comes out the same. */
interface PlannedHost {
  readonly plan: IdentifiedPlan;
  readonly client: Client;
  /** With only that of the caller which the plan's rule looks at. */
  readonly place: RoutePlace;
}

/** Where routes of services without rules stand: they look at nothing of the caller. */
const nobody: RouteSource = { namespace: "", labels: {} };

function plannedHostKey({ plan, client, place }: PlannedHost): string {
  return `${plan.id}|${clientKey(client)}|${plan.rule === undefined ? "" : placeKey(place)}`;
}

/** A port's services, as clients see them in a cluster. */
interface PortServices {
  readonly client: Client;
  readonly cluster: string;
  readonly port: number;
}

function portServicesKey({ client, cluster, port }: PortServices): string {
  return `${port}|${cluster}|${clientKey(client)}`;
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}

/** Declares the queries about sidecars' outbound routes. */
export function sidecarRouteQueries(
  engine: Engine,
  model: Model,
  rules: RoutingRuleQueries,
  unclaimed: UnclaimedQuery,
): SidecarRouteQueries {
  const named = engine.query<{ readonly key: string; readonly cluster: string }, NamedService | undefined>({
    name: "named-service",
    key: ({ key, cluster }) => `${key}|${cluster}`,
    compute: ({ key, cluster }) => {
      const service = model.services.service.get(key);
      return (
        service &&
        namedService(
          {
            host: service.host,
            aliases: model.services.aliases.get(service.host),
            addresses: addressesIn(service, cluster).filter((address) => address !== noAddress),
            headless: service.registry === "Kubernetes" && service.resolution === "NONE",
          },
          service.resolution === "ALIAS",
        )
      );
    },
  });

  /** Ports of a service on which requests may be routed. */
  const routedPorts = engine.stringQuery("service-routed-ports", (key): readonly number[] =>
    (model.services.service.get(key)?.ports ?? []).flatMap(({ number, protocol }) => {
      const kind = listenerProtocol(protocol);
      return kind === "http" || kind === "auto" ? [number] : [];
    }),
  );

  /** Services by such a port: a proxy that asks for a port which no service has costs no look at each. */
  const byPort = engine.query<Bucket, ReadonlyMap<number, readonly string[]>>({
    name: "bucket-services-by-port",
    key: bucketKey,
    compute: (bucket) => {
      const found = new Map<number, string[]>();
      for (const key of model.clients.servicesIn.get(bucket)) {
        for (const port of new Set(routedPorts.get(key)))
          found
            .set(port, found.get(port) ?? [])
            .get(port)
            ?.push(key);
      }
      return found;
    },
  });

  const onPort = engine.query<{ readonly bucket: Bucket; readonly port: number }, readonly string[]>({
    name: "bucket-services-on-port",
    key: ({ bucket, port }) => `${bucketKey(bucket)}|${port}`,
    compute: ({ bucket, port }) => byPort.get(bucket).get(port) ?? [],
  });

  const servicesOn = engine.query<PortServices, readonly NamedService[]>({
    name: "named-services-on-port",
    key: portServicesKey,
    equal: sameItems,
    compute: ({ client, cluster, port }) =>
      model.clients.buckets
        .get(client)
        .flatMap((bucket) => onPort.get({ bucket, port }))
        .flatMap((key) => named.get({ key, cluster }) ?? []),
  });

  /** Services with shorter names in a namespace, by that namespace. */
  const homes = engine.query<PortServices, ReadonlyMap<string, readonly NamedService[]>>({
    name: "named-services-at-home",
    key: portServicesKey,
    equal: () => false,
    compute: (at) => {
      const services = servicesOn.get(at);
      const pairs = services.flatMap((service) => [...service.domainsAtHome.keys()].map((home) => ({ home, service })));
      const grouped = Map.groupBy(pairs, ({ home }) => home);
      return new Map([...grouped].map(([home, all]) => [home, all.map(({ service }) => service)]));
    },
  });

  const placeOf = ({ view, port }: SidecarPort): RoutePlace => ({
    source: { namespace: view.namespace, labels: view.sourceLabels },
    port,
    gateway: meshGateway,
  });

  /** The virtual hosts of a port for what a client sees by one of its listeners. */
  const planned = (client: Client, at: SidecarPort): PlannedPort =>
    planVirtualHosts({
      port: at.port,
      namespace: at.view.namespace,
      services: servicesOn.get({ client, cluster: at.view.cluster, port: at.port }),
      hosts: model.virtualServices.meshHosts
        .get(client)
        .map(({ host, virtualServices }) => ({ host, rules: virtualServices })),
      precedence: model.virtualServices.meshRules.get(client),
      applies: (rule) => rules.applies(rule, placeOf(at)),
    });

  /** A view is looked up for each of its hosts: its key is worked out once. */
  const viewKeys = new WeakMap<SidecarRouteView, string>();
  const portKey = ({ view, port }: SidecarPort): string => {
    let key = viewKeys.get(view);
    if (key === undefined) {
      key = routeViewKey(view);
      viewKeys.set(view, key);
    }
    return `${port}|${key}`;
  };

  const commonPort = ({ view, port }: SidecarPort): SidecarPort | undefined => {
    const common = commonView(view);
    return common && { view: common, port };
  };

  /** Whether every rule has routes at both places, or at neither. */
  const sameRules = (client: Client, a: SidecarPort, b: SidecarPort): boolean =>
    rules.choosy.get(client).every((rule) => rules.applies(rule, placeOf(a)) === rules.applies(rule, placeOf(b)));

  const plans: SidecarRouteQueries["plans"] = engine.query({
    name: "virtual-host-plans",
    key: portKey,
    equal: (a, b) => a.equals(b),
    compute: (at: SidecarPort): PortPlans => {
      const { view, port } = at;
      const client = model.clients.onPort(view.client, port);
      if (!client) return PortPlans.none;
      const common = commonPort(at);
      if (!common) return PortPlans.all(planned(client, at));
      const shared = plans.get(common);
      const services = homes.get({ client, cluster: view.cluster, port }).get(view.namespace) ?? [];
      const own = sameRules(client, at, common)
        ? plansAtHome(shared, (name) => shared.get(name), services, { port, namespace: view.namespace })
        : undefined;
      return own ? PortPlans.over(shared, own) : PortPlans.all(planned(client, at), shared);
    },
  });

  const hostMessage = ({ plan, client, place }: PlannedHost): VirtualHost => {
    const { port } = place;
    const routes =
      plan.rule === undefined
        ? [rules.defaultRoute.get({ client, host: plan.host, port })]
        : rules.routes({ rule: plan.rule, client, place, tls: false });
    return virtualHost(plan.name, plan.domains, routes, rules.defaults());
  };

  /** Whom callers see who name the port of a service themselves; undefined for routes of one port. */
  const everyPortClient = (client: Client, asked: RouteName): Client | undefined => {
    if (asked.kind === "proxy" && asked.port === 0) return model.clients.onOtherPorts(client);
    return model.clients.egress(client).find(({ listener }) => {
      if (asked.kind === "socket") return listener?.bind === asked.bind;
      return asked.kind === "proxy" && listener?.port?.number === asked.port;
    })?.client;
  };

  /** Ports on which a client sees services with HTTP. */
  const httpPorts = (client: Client): readonly number[] => {
    const all = model.clients.services.get(client).flatMap((key) => model.services.service.get(key)?.ports ?? []);
    const routed = all.filter(({ protocol }) => isHttp(protocol) || protocol === "Auto");
    return [...new Set(routed.map(({ number }) => number))].toSorted((a, b) => a - b);
  };

  /** Every HTTP service by its names with a port; those on HTTP's own port without one too. */
  const everyPortHosts = (client: Client, view: SidecarRouteView): readonly Uint8Array[] =>
    httpPorts(client).flatMap((port) =>
      planned(client, { view, port }).plans.map((plan) => {
        const named = plan.domains.map((domain) => `${domain}:${port}`);
        const domains = port === plainHttpPort ? [...plan.domains, ...named] : named;
        return hostOf({ view, port }, identified({ ...plan, domains }));
      }),
    );

  const encodedHost = engine.query<PlannedHost, Uint8Array>({
    name: "virtual-host",
    key: plannedHostKey,
    compute: (planned) => encodeVirtualHost(hostMessage(planned)),
  });

  const hostResource = engine.query<PlannedHost, EncodedResource>({
    name: "virtual-host-resource",
    key: plannedHostKey,
    equal: sameResource,
    compute: (planned) => encodeHost(routeName({ kind: "port", port: planned.place.port }), hostMessage(planned)),
  });

  const plannedHost = ({ view, port }: SidecarPort, plan: IdentifiedPlan): PlannedHost => {
    const place =
      plan.rule === undefined
        ? { source: nobody, port, gateway: meshGateway }
        : rules.narrowed(plan.rule, placeOf({ view, port }));
    return { plan, client: view.client, place };
  };

  const hostOf = (at: SidecarPort, plan: IdentifiedPlan): Uint8Array => encodedHost.get(plannedHost(at, plan));

  const ownHosts = engine.query<SidecarPort, OwnHosts>({
    name: "own-virtual-hosts",
    key: portKey,
    equal: (a, b) => a.extendsCommon === b.extendsCommon && samePlans(a.plans, b.plans),
    compute: (at) => {
      const all = plans.get(at);
      const common = commonPort(at);
      if (!common) return { plans: all.own, extendsCommon: true };
      const shared = plans.get(common);
      const choosy = new Set(rules.choosy.get(model.clients.onPort(at.view.client, at.port) ?? at.view.client));
      // What is replaced is another plan; of the others, what their rule makes of the caller decides.
      const isShared = (plan: IdentifiedPlan): boolean => {
        if (shared.get(plan.name)?.id !== plan.id) return false;
        if (plan.rule === undefined || !choosy.has(plan.rule)) return true;
        return plannedHostKey(plannedHost(at, plan)) === plannedHostKey(plannedHost(common, plan));
      };
      const candidates = all.base === shared && choosy.size === 0 ? all.own.values() : all.values();
      const own = [...candidates].filter((plan) => !isShared(plan)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
      return { plans: byName(own), extendsCommon: all.covers(shared) };
    },
  });

  /** The plan of a resource by its name, of every other port's resources undefined. */
  const planNamed = (at: SidecarPort, name: string): IdentifiedPlan | undefined => {
    const before = hostResourceName(routeName({ kind: "port", port: at.port }), "");
    return name.startsWith(before) ? ownHosts.get(at).plans.get(name.slice(before.length)) : undefined;
  };

  const lastHost = engine.query<{ readonly client: Client; readonly port: number }, EncodedResource>({
    name: "catch-all-resource",
    key: ({ client, port }) => `${port}|${clientKey(client)}`,
    equal: sameResource,
    compute: ({ client, port }) =>
      encodeHost(routeName({ kind: "port", port }), catchAll(unclaimed.get(client), rules.defaults())),
  });

  const configuration = engine.query<SidecarRoutes, EncodedResource | undefined>({
    name: "sidecar-routes",
    key: ({ view, name }) => `${name}|${routeViewKey(view)}`,
    equal: sameResource,
    compute: ({ view, name }) => {
      const asked = parseRouteName(name);
      if (!asked) return undefined;
      const everyPort = everyPortClient(view.client, asked);
      const rest = encodeVirtualHost(catchAll(unclaimed.get(view.client), rules.defaults()));
      if (everyPort) return encodeRoutes(name, [...everyPortHosts(everyPort, view), rest], false);
      if (asked.kind === "socket" || asked.kind === "proxy") return undefined;
      const { port } = asked;
      const ofPort = plans.get({ view, port });
      if (asked.kind === "service") {
        const plan = ofPort.get(virtualHostName(asked.host, port));
        // The listener has the service's address, so every `Host` is meant for the service.
        return encodeRoutes(name, plan ? [hostOf({ view, port }, identified({ ...plan, domains: ["*"] }))] : []);
      }
      const hosts = ofPort.values().map((plan) => hostOf({ view, port }, plan));
      return encodeRoutes(name, [...hosts, rest]);
    },
  });

  const host: SidecarRouteQueries["host"] = (at, name) => {
    const plan = planNamed(at, name);
    if (plan) return hostResource.get(plannedHost(at, plan));
    if (commonView(at.view)) return undefined;
    const last = lastHost.get({ client: at.view.client, port: at.port });
    return last.name === name ? last : undefined;
  };

  return {
    plans,
    configuration,
    extendsCommon: (at) => ownHosts.get(at).extendsCommon,
    hostNames: (at) => {
      const own = [...ownHosts.get(at).plans.keys()];
      return commonView(at.view) ? own : [...own, catchAll(unclaimed.get(at.view.client), rules.defaults()).name];
    },
    host,
  };
}
