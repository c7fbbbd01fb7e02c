import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Bucket, bucketKey } from "#model/clients.ts";
import type { Client } from "#model/client.ts";
import type { Model } from "#model/model.ts";
import { listenerProtocol } from "#model/protocol.ts";
import { addressesIn, noAddress } from "#model/service.ts";
import { only } from "#model/services.ts";
import { meshGateway } from "#model/virtualservices.ts";
import type { VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { parseRouteName } from "../names.ts";
import { routeViewKey, type SidecarRouteView } from "../view.ts";
import type { NamedService } from "./domains.ts";
import { planVirtualHosts, portRoutes, serviceRoutes, type VirtualHostPlan } from "./outbound.ts";
import type { RoutingRuleQueries } from "./rule-queries.ts";
import type { RoutePlace } from "./source.ts";
import { byName, type UnknownHosts, virtualHost, virtualHostName } from "./virtual-host.ts";

/** A port of the mesh as a sidecar sees it. */
export interface SidecarPort {
  readonly view: SidecarRouteView;
  readonly port: number;
}

/** A virtual host of a port by its name. */
export interface SidecarHost extends SidecarPort {
  readonly name: string;
}

/** Outbound routes of sidecars. */
export interface SidecarRouteQueries {
  /** The virtual hosts of a port without their routes, sorted by their names. */
  readonly plans: Query<SidecarPort, ReadonlyMap<string, VirtualHostPlan>>;
  /** One virtual host with its routes. */
  readonly virtualHost: (host: SidecarHost) => VirtualHost | undefined;
  /** A route configuration by its name: of a port, or of a sniffed port of one service. */
  readonly configuration: Query<
    { readonly view: SidecarRouteView; readonly name: string },
    RouteConfiguration | undefined
  >;
}

/** A virtual host before its routes are made, for all callers for whom it comes out the same. */
interface PlannedHost {
  readonly plan: VirtualHostPlan;
  readonly client: Client;
  /** With only that of the caller which the plan's rule looks at. */
  readonly place: RoutePlace;
}

function portKey({ view, port }: SidecarPort): string {
  return `${port}|${routeViewKey(view)}`;
}

/** Declares the queries about sidecars' outbound routes. */
export function sidecarRouteQueries(engine: Engine, model: Model, rules: RoutingRuleQueries): SidecarRouteQueries {
  const namedService = engine.query<{ readonly key: string; readonly cluster: string }, NamedService | undefined>({
    name: "named-service",
    key: ({ key, cluster }) => `${key}|${cluster}`,
    compute: ({ key, cluster }) => {
      const service = model.services.service.get(key);
      return (
        service && {
          host: service.host,
          aliases: [],
          addresses: addressesIn(service, cluster).filter((address) => address !== noAddress),
          headless: service.registry === "Kubernetes" && service.resolution === "NONE",
        }
      );
    },
  });

  const routedOn = engine.query<{ readonly key: string; readonly port: number }, boolean>({
    name: "service-routed-on-port",
    key: ({ key, port }) => `${key}|${port}`,
    compute: ({ key, port }) =>
      model.services.service.get(key)?.ports.some((each) => {
        const kind = listenerProtocol(each.protocol);
        return each.number === port && (kind === "http" || kind === "auto");
      }) ?? false,
  });

  const onPort = engine.query<{ readonly bucket: Bucket; readonly port: number }, readonly string[]>({
    name: "bucket-services-on-port",
    key: ({ bucket, port }) => `${bucketKey(bucket)}|${port}`,
    compute: ({ bucket, port }) => model.clients.servicesIn.get(bucket).filter((key) => routedOn.get({ key, port })),
  });

  const servicesOn = (client: Client, cluster: string, port: number): readonly NamedService[] =>
    model.clients.buckets
      .get(client)
      .flatMap((bucket) => onPort.get({ bucket, port }))
      .flatMap((key) => namedService.get({ key, cluster }) ?? []);

  const placeOf = ({ view, port }: SidecarPort): RoutePlace => ({
    source: { namespace: view.namespace, labels: view.sourceLabels },
    port,
    gateway: meshGateway,
  });

  const plans = engine.query<SidecarPort, ReadonlyMap<string, VirtualHostPlan>>({
    name: "virtual-host-plans",
    key: portKey,
    compute: ({ view, port }) =>
      byName(
        planVirtualHosts({
          port,
          namespace: view.namespace,
          services: servicesOn(view.client, view.cluster, port),
          hosts: model.virtualServices.meshHosts
            .get(view.client)
            .map(({ host, virtualServices }) => ({ host, rules: virtualServices })),
          applies: (rule) => rules.applies(rule, placeOf({ view, port })),
        }),
      ),
  });

  const madeHost = engine.query<PlannedHost, VirtualHost>({
    name: "virtual-host",
    key: canonical,
    compute: ({ plan, client, place }) => {
      const { port } = place;
      const routes =
        plan.rule === undefined
          ? [rules.defaultRoute.get({ client, host: plan.host, port })]
          : rules.routes({ rule: plan.rule, client, place, tls: false });
      return virtualHost(plan.name, plan.domains, routes);
    },
  });

  const hostOf = ({ view, port }: SidecarPort, plan: VirtualHostPlan): VirtualHost => {
    const place =
      plan.rule === undefined
        ? { source: { namespace: "", labels: {} }, port, gateway: meshGateway }
        : rules.narrowed(plan.rule, placeOf({ view, port }));
    return madeHost.get({ plan, client: view.client, place });
  };

  const hostByName = (asked: SidecarHost): VirtualHost | undefined => {
    const plan = plans.get(asked).get(asked.name);
    return plan && hostOf(asked, plan);
  };

  const unknownHosts = (client: Client): UnknownHosts => {
    const own = model.clients.sidecar(client)?.spec.outboundTrafficPolicy?.mode;
    const mode = own ?? model.services.mesh.get(only).outboundTrafficPolicy.mode;
    return mode === "REGISTRY_ONLY" ? "REGISTRY_ONLY" : "ALLOW_ANY";
  };

  const configuration = engine.query<
    { readonly view: SidecarRouteView; readonly name: string },
    RouteConfiguration | undefined
  >({
    name: "sidecar-routes",
    key: ({ view, name }) => `${name}|${routeViewKey(view)}`,
    compute: ({ view, name }) => {
      const asked = parseRouteName(name);
      if (!asked || asked.kind === "gateway") return undefined;
      const { port } = asked;
      if (asked.kind === "service") {
        return serviceRoutes(name, hostByName({ view, port, name: virtualHostName(asked.host, port) }));
      }
      const hosts = [...plans.get({ view, port }).values()].map((plan) => hostOf({ view, port }, plan));
      return portRoutes(name, hosts, unknownHosts(view.client));
    },
  });

  return { plans, virtualHost: hostByName, configuration };
}
