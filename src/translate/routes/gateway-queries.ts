import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { Model } from "#model/model.ts";
import { isHttp, parseProtocol } from "#model/protocol.ts";
import type { VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { parseRouteName } from "../names.ts";
import { type GatewayRouteView, listenPort, routeViewKey } from "../view.ts";
import {
  type BoundRule,
  type GatewayHostPlan,
  gatewayRoutes,
  type GatewayServer,
  gatewayVirtualHost,
  planGatewayHosts,
} from "./gateway.ts";
import type { RoutingRuleQueries } from "./rule-queries.ts";
import type { RoutePlace } from "./source.ts";
import { byName } from "./virtual-host.ts";

/** A port of a gateway's proxies. */
interface GatewayPort {
  readonly view: GatewayRouteView;
  readonly port: number;
}

/** A virtual host of a gateway's port by its name. */
interface GatewayHost extends GatewayPort {
  readonly name: string;
}

/** Routes of gateways. */
export interface GatewayRouteQueries {
  /** The virtual hosts of a port without their routes, sorted by their names. */
  readonly plans: Query<GatewayPort, ReadonlyMap<string, GatewayHostPlan>>;
  /** One virtual host with its routes. */
  readonly virtualHost: Query<GatewayHost, VirtualHost | undefined>;
  /** A route configuration by its name (`http.8080`). */
  readonly configuration: Query<
    { readonly view: GatewayRouteView; readonly name: string },
    EncodedResource | undefined
  >;
}

function portKey({ view, port }: GatewayPort): string {
  return `${port}|${routeViewKey(view)}`;
}

function placeOf(view: GatewayRouteView, gateway: string, port: number): RoutePlace {
  return { source: { namespace: view.namespace, labels: view.sourceLabels }, port, gateway };
}

/** Declares the queries about gateways' routes. */
export function gatewayRouteQueries(engine: Engine, model: Model, rules: RoutingRuleQueries): GatewayRouteQueries {
  /** The HTTP servers of a Gateway that a port of the proxies is for. */
  const serversOf = (view: GatewayRouteView, gateway: string, port: number): readonly GatewayServer[] =>
    (model.gateways.gateway.get(gateway)?.spec.servers ?? []).flatMap((server) => {
      const protocol = parseProtocol(server.port.protocol);
      if (listenPort(view, server.port.number) !== port || protocol === undefined || !isHttp(protocol)) return [];
      const httpsRedirect = server.tls?.httpsRedirect ?? false;
      return [{ gateway, port: server.port.number, hosts: server.hosts, tls: server.tls !== undefined, httpsRedirect }];
    });

  const rulesOf = (view: GatewayRouteView, gateway: string, port: number): readonly BoundRule[] =>
    model.virtualServices.forGateway
      .get({ viewer: view.namespace, gateway })
      .filter((key) => rules.applies(key, placeOf(view, gateway, port)))
      .flatMap((key) => model.virtualServices.exposure.get(key) ?? []);

  const plans = engine.query<GatewayPort, ReadonlyMap<string, GatewayHostPlan>>({
    name: "gateway-host-plans",
    key: portKey,
    compute: ({ view, port }) =>
      byName(
        planGatewayHosts({
          servers: view.gateways.flatMap((gateway) => serversOf(view, gateway, port)),
          rulesOf: (gateway, serverPort) => rulesOf(view, gateway, serverPort),
        }),
      ),
  });

  const virtualHost = engine.query<GatewayHost, VirtualHost | undefined>({
    name: "gateway-virtual-host",
    key: (host) => `${host.name}|${portKey(host)}`,
    compute: ({ view, port, name }) => {
      const plan = plans.get({ view, port }).get(name);
      if (!plan) return undefined;
      const { client } = view;
      return gatewayVirtualHost(plan, ({ rule, gateway, port: serverPort, tls }) =>
        rules.routes({ rule, client, tls, place: placeOf(view, gateway, serverPort) }),
      );
    },
  });

  const configuration = engine.query<
    { readonly view: GatewayRouteView; readonly name: string },
    EncodedResource | undefined
  >({
    name: "gateway-routes",
    key: ({ view, name }) => `${name}|${routeViewKey(view)}`,
    equal: sameResource,
    compute: ({ view, name }) => {
      const asked = parseRouteName(name);
      if (asked?.kind !== "gateway") return undefined;
      const { port } = asked;
      const hosts = [...plans.get({ view, port }).keys()].flatMap(
        (each) => virtualHost.get({ view, port, name: each }) ?? [],
      );
      return encodeResource(RouteConfigurationSchema, gatewayRoutes(name, port, hosts), name);
    },
  });

  return { plans, virtualHost, configuration };
}
