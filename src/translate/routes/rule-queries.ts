import type { Finding } from "#api/finding.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Client, clientKey } from "#model/client.ts";
import { exportsOf } from "#model/exports.ts";
import type { Model } from "#model/model.ts";
import { only } from "#model/services.ts";
import type { Route } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import type { DestinationQueries } from "./destination-queries.ts";
import { routingRule } from "./resolve.ts";
import { appliesAt, ruleRoutes } from "./route.ts";
import { type RouteDefaults, routeDefaults, type RoutingRule } from "./rule.ts";
import { placeKey, projectSource, type RoutePlace, sourceReads } from "./source.ts";
import { defaultRoute } from "./virtual-host.ts";

/** A rule's routes at a place, for a client. */
interface PlacedRule {
  /** `namespace/name`. */
  readonly rule: string;
  readonly client: Client;
  readonly place: RoutePlace;
  /** Whether the listener terminates TLS. */
  readonly tls: boolean;
}

/** A service's port as a client sees it. */
interface ServicePortView {
  readonly client: Client;
  readonly host: string;
  readonly port: number;
}

/** Routes of VirtualServices as queries, each shared by all callers for whom it comes out the same. */
export interface RoutingRuleQueries {
  /** A place with only that of its source which the rule looks at, so that callers share what they can. */
  readonly narrowed: (rule: string, place: RoutePlace) => RoutePlace;
  /** Those rules that a client's sidecars follow whose routes look at who sends the requests. */
  readonly choosy: Query<Client, readonly string[]>;
  /** Whether a rule has any route at a place. */
  readonly applies: (rule: string, place: RoutePlace) => boolean;
  /** The routes of a rule at a place; empty where it has none. */
  readonly routes: (placed: PlacedRule) => readonly Route[];
  /** The route of a service that no rule serves. */
  readonly defaultRoute: Query<ServicePortView, Route>;
  /** What the mesh says of all routes. */
  readonly defaults: () => RouteDefaults;
  /** What is wrong with the rule of a VirtualService. */
  readonly findings: (rule: string) => readonly Finding[];
}

interface AtPlace {
  readonly rule: string;
  readonly place: RoutePlace;
}

/** Declares the queries about rules and their routes. */
export function routingRuleQueries(
  engine: Engine,
  model: Model,
  destinations: DestinationQueries,
  traced: boolean,
): RoutingRuleQueries {
  const { virtualService } = model.virtualServices;

  const resolved = engine.stringQuery("routing-rule", (key) => {
    const row = virtualService.get(key);
    if (!row) return undefined;
    return routingRule(row, {
      find: (namespace, name) => virtualService.get(`${namespace}/${name}`),
      exportTo: ({ spec }) => exportsOf(spec.exportTo, model.services.mesh.get(only).defaultVirtualServiceExportTo),
    });
  });
  const ruleOf = (key: string): RoutingRule | undefined => resolved.get(key)?.rule;

  const reads = engine.stringQuery("routing-rule-reads", (rule) => sourceReads(ruleOf(rule)?.http ?? []));

  const choosy = engine.query<Client, readonly string[]>({
    name: "choosy-routing-rules",
    key: clientKey,
    compute: (client) =>
      model.virtualServices.meshRules.get(client).filter((rule) => {
        const { namespace, labels } = reads.get(rule);
        return namespace || labels.length > 0;
      }),
  });

  const narrowed = (rule: string, place: RoutePlace): RoutePlace => ({
    ...place,
    source: projectSource(reads.get(rule), place.source),
  });

  const applies = engine.query<AtPlace, boolean>({
    name: "routing-rule-applies",
    key: ({ rule, place }) => `${rule}|${placeKey(place)}`,
    compute: ({ rule, place }) => {
      const found = ruleOf(rule);
      return found !== undefined && appliesAt(found, place);
    },
  });

  const defaults = (): RouteDefaults => routeDefaults(model.services.mesh.get(only));

  const routes = engine.query<PlacedRule, readonly Route[]>({
    name: "routes",
    key: ({ rule, client, place, tls }) => `${rule}|${clientKey(client)}|${placeKey(place)}|${tls}`,
    compute: ({ rule, client, place, tls }) => {
      const found = ruleOf(rule);
      if (!found) return [];
      return ruleRoutes(found, { place, tls, destinations: destinations(client), defaults: defaults(), traced });
    },
  });

  return {
    narrowed,
    choosy,
    applies: (rule, place) => applies.get({ rule, place: narrowed(rule, place) }),
    routes: (placed) => routes.get({ ...placed, place: narrowed(placed.rule, placed.place) }),
    defaultRoute: engine.query({
      name: "default-route",
      key: ({ client, host, port }) => `${clientKey(client)}|${host}|${port}`,
      compute: ({ client, host, port }) => defaultRoute(host, port, destinations(client), defaults()),
    }),
    defaults,
    findings: (rule) => resolved.get(rule)?.findings ?? [],
  };
}
