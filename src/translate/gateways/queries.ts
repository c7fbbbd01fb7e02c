import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { Client } from "#model/client.ts";
import type { Model } from "#model/model.ts";
import type { ChosenPolicies } from "#model/policies.ts";
import type { TrafficConfig } from "#model/proxy-config.ts";
import { only } from "#model/services.ts";
import { serviceKey } from "#model/tables.ts";
import { ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";
import { settingsFor } from "../own-config.ts";
import type { ConnectionQueries } from "../connections/queries.ts";
import type { DestinationQueries } from "../routes/destination-queries.ts";
import type { ClusterQueries } from "../cluster-queries.ts";
import { statName } from "../clusters/stat-name.ts";
import { parseClusterName, quicName } from "../names.ts";
import { commonHosts, gatewayServer } from "../routes/gateway.ts";
import type { SecurityQueries } from "../security-queries.ts";
import { type GatewayRouteView, listenPort, routeViewKey } from "../view.ts";
import { gatewayListener } from "./listener.ts";
import { type GatewayListenerPlan, type PassedCluster, planGatewayListener, planQuicListener } from "./plan.ts";
import { mergeServers, type PlacedServer, serverRoutes, takesHttp3 } from "./server.ts";

/** What a gateway's listeners are for. */
interface GatewayListenerView {
  readonly view: GatewayRouteView;
  /** Settings of the proxies' own, where they have some. */
  readonly own?: TrafficConfig;
  readonly policies?: ChosenPolicies;
  /** Whether the proxies have certificates of the mesh. */
  readonly identified?: true;
}

/** What gateways listen for, as queries. */
export interface GatewayQueries {
  /** Servers that share a listener, by its name. */
  readonly servers: Query<GatewayRouteView, ReadonlyMap<string, readonly PlacedServer[]>>;
  /** Servers that share a route configuration, by its name. */
  readonly routed: Query<GatewayRouteView, ReadonlyMap<string, readonly PlacedServer[]>>;
  readonly names: (view: GatewayRouteView) => readonly string[];
  readonly listener: (view: GatewayListenerView, name: string) => EncodedResource | undefined;
  /** Keys of the VirtualServices that route a server's connections. */
  readonly connectionRules: (view: GatewayRouteView, server: PlacedServer) => readonly string[];
}

/** What gateways are declared on. */
export interface GatewayContext {
  readonly engine: Engine;
  readonly model: Model;
  readonly clusters: ClusterQueries;
  readonly destinations: DestinationQueries;
  readonly connections: ConnectionQueries;
  readonly security: SecurityQueries;
}

/** Declares the queries about what gateways listen for. */
export function gatewayQueries(context: GatewayContext): GatewayQueries {
  const { engine, model, clusters, destinations, connections, security } = context;
  const servers = engine.query<GatewayRouteView, ReadonlyMap<string, readonly PlacedServer[]>>({
    name: "gateway-servers",
    key: routeViewKey,
    compute: (view) => {
      const placed = view.gateways.flatMap((gateway) =>
        (model.gateways.gateway.get(gateway)?.spec.servers ?? []).map((server, index) => {
          return { gateway, index, server, port: listenPort(view, server.port.number) };
        }),
      );
      return mergeServers(placed).listeners;
    },
  });

  const routed = engine.query<GatewayRouteView, ReadonlyMap<string, readonly PlacedServer[]>>({
    name: "gateway-routed-servers",
    key: routeViewKey,
    compute: (view) => {
      const named = [...servers.get(view).values()].flat().flatMap((placed) => {
        const name = serverRoutes(placed);
        return name === undefined ? [] : [{ name, placed }];
      });
      const groups = Map.groupBy(named, ({ name }) => name);
      return new Map([...groups].map(([name, all]) => [name, all.map(({ placed }) => placed)]));
    },
  });

  const connectionRules = ({ namespace }: GatewayRouteView, placed: PlacedServer): readonly string[] =>
    model.virtualServices.forGateway.get({ viewer: namespace, gateway: placed.gateway }).filter((key) => {
      const exposure = model.virtualServices.exposure.get(key);
      return exposure?.connections === true && commonHosts(gatewayServer(placed), exposure).length > 0;
    });

  const passed = (client: Client): readonly PassedCluster[] => {
    const { outboundClusterStatName } = model.services.mesh.get(only);
    return model.clients.buckets.get(client).flatMap((bucket) =>
      clusters.outboundNames(bucket, { passed: true }).flatMap((name) => {
        const parts = parseClusterName(name);
        const service = parts && model.services.service.get(serviceKey(bucket.namespace, parts.host));
        const port = service?.ports.find(({ number }) => number === parts?.port);
        if (!parts || !service || !port) return [];
        const stated = { number: port.number, name: port.name, subset: parts.subset };
        return [{ ...parts, name, statPrefix: statName(outboundClusterStatName, service, stated, name) }];
      }),
    );
  };

  const plans = engine.query<GatewayRouteView, ReadonlyMap<string, GatewayListenerPlan>>({
    name: "gateway-listener-plans",
    key: routeViewKey,
    compute: (view) => {
      const routing = {
        rulesOf: (placed: PlacedServer) => connectionRules(view, placed).flatMap((key) => connections.rule(key) ?? []),
        known: destinations(view.client),
        passed: () => passed(view.client),
      };
      const made = new Map<string, GatewayListenerPlan>();
      for (const [name, shared] of servers.get(view)) {
        const plan = planGatewayListener(shared, routing);
        const quic = planQuicListener(shared.filter((placed) => takesHttp3(placed, view)));
        if (plan) made.set(name, plan);
        if (quic) made.set(quicName(name), quic);
      }
      return made;
    },
  });

  const listener = engine.query<
    Omit<GatewayListenerView, "view"> & { readonly plan: GatewayListenerPlan },
    EncodedResource
  >({
    name: "gateway-listener",
    key: canonical,
    equal: sameResource,
    compute: ({ plan, own, policies, identified = false }) => {
      const mesh = settingsFor(model.services.mesh.get(only), own);
      const made = gatewayListener(plan, { mesh, security: security.filters(policies, true), identified });
      const routes = plan.chains.flatMap((chain) => (chain.kind === "http" ? [chain.routes] : []));
      return encodeResource(ListenerSchema, made, made.name, routes);
    },
  });

  return {
    servers,
    routed,
    names: (view) => [...plans.get(view).keys()],
    listener: ({ view, own, policies, identified }, name) => {
      const plan = plans.get(view).get(name);
      const proxies = { ...(own && { own }), ...(policies && { policies }), ...(identified && { identified }) };
      return plan && listener.get({ plan, ...proxies });
    },
    connectionRules,
  };
}
