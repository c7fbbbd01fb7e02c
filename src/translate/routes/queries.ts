import type { Finding } from "#api/finding.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Model } from "#model/model.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import type { GatewayQueries } from "../gateways/queries.ts";
import type { UnclaimedQuery } from "../unclaimed.ts";
import type { RouteView } from "../view.ts";
import type { DestinationQueries } from "./destination-queries.ts";
import { type GatewayRouteQueries, gatewayRouteQueries } from "./gateway-queries.ts";
import { routingRuleQueries } from "./rule-queries.ts";
import { type SidecarRouteQueries, sidecarRouteQueries } from "./sidecar-queries.ts";

/** HTTP routes of sidecars and gateways. */
export interface RouteQueries {
  readonly sidecars: SidecarRouteQueries;
  readonly gateways: GatewayRouteQueries;
  /** A route configuration by its name (`parseRouteName`), or undefined for a name of another form. */
  readonly configuration: (view: RouteView, name: string) => EncodedResource | undefined;
  /** Whether the virtual hosts of a route configuration of a sidecar's port, or of a gateway, can be given apart. */
  readonly hasHostsApart: (view: RouteView, configuration: string) => boolean;
  /** Their names; of a view that has a common one (`commonView`) less those that are the same there. */
  readonly hostNames: (view: RouteView, configuration: string) => readonly string[];
  /** One of them as a resource of its own, by the resource's name. */
  readonly host: (view: RouteView, configuration: string, name: string) => EncodedResource | undefined;
  /** What routing cannot do of a VirtualService, by `namespace/name`. */
  readonly findings: (virtualService: string) => readonly Finding[];
}

/** Declares the queries about HTTP routes. */
export function routeQueries(
  engine: Engine,
  model: Model,
  unclaimed: UnclaimedQuery,
  destinations: DestinationQueries,
  gatewayServers: GatewayQueries,
  traced: boolean,
): RouteQueries {
  const rules = routingRuleQueries(engine, model, destinations, traced);
  const sidecars = sidecarRouteQueries(engine, model, rules, unclaimed);
  const gateways = gatewayRouteQueries(engine, model, rules, gatewayServers);
  return {
    sidecars,
    gateways,
    configuration: (view, name) =>
      view.kind === "sidecar"
        ? sidecars.configuration.get({ view, name })
        : gateways.configuration.get({ view, routes: name }),
    hasHostsApart: (view, configuration) =>
      view.kind === "sidecar"
        ? sidecars.extendsCommon({ view, port: Number(configuration) })
        : gateways.plans.get({ view, routes: configuration }).size > 0,
    hostNames: (view, configuration) =>
      view.kind === "sidecar"
        ? sidecars.hostNames({ view, port: Number(configuration) })
        : [...gateways.plans.get({ view, routes: configuration }).keys()],
    host: (view, configuration, name) =>
      view.kind === "sidecar"
        ? sidecars.host({ view, port: Number(configuration) }, name)
        : gateways.host({ view, routes: configuration }, name),
    findings: rules.findings,
  };
}
