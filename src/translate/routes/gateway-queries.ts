import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { Model } from "#model/model.ts";
import type { VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import type { GatewayQueries } from "../gateways/queries.ts";
import { takesHttp3 } from "../gateways/server.ts";
import { encodeHost, hostResourceName } from "./encoded.ts";
import { type GatewayRouteView, routeViewKey } from "../view.ts";
import {
  advertisesHttp3,
  type BoundRule,
  type GatewayHostPlan,
  gatewayRoutes,
  gatewayServer,
  gatewayVirtualHost,
  planGatewayHosts,
} from "./gateway.ts";
import type { RoutingRuleQueries } from "./rule-queries.ts";
import type { RoutePlace } from "./source.ts";
import { byName } from "./virtual-host.ts";

/** A route configuration of a gateway's proxies by its name. */
interface GatewayRoutes {
  readonly view: GatewayRouteView;
  readonly routes: string;
}

/** A virtual host of a route configuration by its name. */
interface GatewayHost extends GatewayRoutes {
  readonly name: string;
}

/** Routes of gateways. */
export interface GatewayRouteQueries {
  /** The virtual hosts of a route configuration without their routes, sorted by their names. */
  readonly plans: Query<GatewayRoutes, ReadonlyMap<string, GatewayHostPlan>>;
  /** One virtual host with its routes. */
  readonly virtualHost: Query<GatewayHost, VirtualHost | undefined>;
  /** A route configuration by its name (`serverRoutes`). */
  readonly configuration: Query<GatewayRoutes, EncodedResource | undefined>;
  /** A virtual host as a resource of its own, by the resource's name. */
  readonly host: (at: GatewayRoutes, name: string) => EncodedResource | undefined;
}

function routesKey({ view, routes }: GatewayRoutes): string {
  return `${routes}|${routeViewKey(view)}`;
}

function placeOf(view: GatewayRouteView, gateway: string, port: number): RoutePlace {
  return { source: { namespace: view.namespace, labels: view.sourceLabels }, port, gateway };
}

/** Declares the queries about gateways' routes. */
export function gatewayRouteQueries(
  engine: Engine,
  model: Model,
  rules: RoutingRuleQueries,
  gateways: GatewayQueries,
): GatewayRouteQueries {
  const rulesOf = (view: GatewayRouteView, gateway: string, port: number): readonly BoundRule[] =>
    model.virtualServices.forGateway
      .get({ viewer: view.namespace, gateway })
      .filter((key) => rules.applies(key, placeOf(view, gateway, port)))
      .flatMap((key) => model.virtualServices.exposure.get(key) ?? []);

  const plans = engine.query<GatewayRoutes, ReadonlyMap<string, GatewayHostPlan>>({
    name: "gateway-host-plans",
    key: routesKey,
    compute: ({ view, routes }) =>
      byName(
        planGatewayHosts({
          servers: (gateways.routed.get(view).get(routes) ?? []).map(gatewayServer),
          rulesOf: (gateway, serverPort) => rulesOf(view, gateway, serverPort),
        }),
      ),
  });

  const virtualHost = engine.query<GatewayHost, VirtualHost | undefined>({
    name: "gateway-virtual-host",
    key: (host) => `${host.name}|${routesKey(host)}`,
    compute: ({ view, routes, name }) => {
      const plan = plans.get({ view, routes }).get(name);
      if (!plan) return undefined;
      const { client } = view;
      const routesOf: Parameters<typeof gatewayVirtualHost>[1] = ({ rule, gateway, port: serverPort, tls }) =>
        rules.routes({ rule, client, tls, place: placeOf(view, gateway, serverPort) });
      const made = gatewayVirtualHost(plan, routesOf, rules.defaults());
      const quic = gateways.routed
        .get(view)
        .get(routes)
        ?.find((placed) => takesHttp3(placed, view));
      return quic ? advertisesHttp3(made, quic.server.port.number) : made;
    },
  });

  const configuration = engine.query<GatewayRoutes, EncodedResource | undefined>({
    name: "gateway-routes",
    key: routesKey,
    equal: sameResource,
    compute: ({ view, routes }) => {
      const [first] = gateways.routed.get(view).get(routes) ?? [];
      if (!first) return undefined;
      const hosts = [...plans.get({ view, routes }).keys()].flatMap(
        (name) => virtualHost.get({ view, routes, name }) ?? [],
      );
      const made = gatewayRoutes(routes, first.server.port.number, hosts);
      return encodeResource(RouteConfigurationSchema, made, routes);
    },
  });

  const hostResource = engine.query<GatewayHost, EncodedResource | undefined>({
    name: "gateway-virtual-host-resource",
    key: (host) => `${host.name}|${routesKey(host)}`,
    equal: sameResource,
    compute: (named) => {
      const host = virtualHost.get(named);
      return host && encodeHost(named.routes, host);
    },
  });

  return {
    plans,
    virtualHost,
    configuration,
    host: ({ view, routes }, resource) => {
      const before = hostResourceName(routes, "");
      if (!resource.startsWith(before)) return undefined;
      return hostResource.get({ view, routes, name: resource.slice(before.length) });
    },
  };
}
