import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { placedLabels } from "#model/endpoint.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Model } from "#model/model.ts";
import type { InboundKey } from "#model/workloads.ts";
import { type EncodedResource, sameResource, type TypeUrl, typeUrls } from "#proto/encoded.ts";
import { clusterQueries } from "./cluster-queries.ts";
import { endpointSetQueries } from "./endpoint-queries.ts";
import type { Place } from "./endpoints/locality.ts";
import { listenerQueries } from "./listener-queries.ts";
import { nameTableName, nameTableQueries } from "./name-table.ts";
import { virtualInbound, virtualOutbound } from "./names.ts";
import { classKey, type NodeInfo, parseClass, proxyView } from "./proxy-class.ts";
import { routeQueries } from "./routes/queries.ts";
import { parseScope, type Scope, scopeKey } from "./scopes.ts";
import type { GatewayRouteView, ProxyView, SidecarRouteView } from "./view.ts";

/** A resource's place: a scope's key and a name in it. */
export interface ScopedName {
  readonly scope: string;
  readonly name: string;
}

/** Where the xDS server gets resources from: its `ResourceSource`. */
export interface Translator {
  /**
   * The class of a proxy.
   * @throws WeftError `InvalidArgument` when its node lacks what is needed.
   */
  classOf(node: NodeInfo): string;
  /** A class's scopes, by type. */
  readonly scopes: Query<string, Readonly<Record<TypeUrl, readonly string[]>>>;
  /** Names of a scope of clusters, of listeners or of a name table, sorted. */
  readonly names: Query<string, readonly string[]>;
  /** A resource, or undefined where the scope has none of that name. */
  readonly resource: Query<ScopedName, EncodedResource | undefined>;
}

/** Those of a proxy's labels that selectors name which it fits. */
function selectedLabels(labels: StringMap, selectors: readonly StringMap[]): StringMap {
  return Object.assign({}, ...selectors.filter((selector) => labelsMatch(selector, labels))) as StringMap;
}

/** Declares translation on a model's engine. */
export function createTranslator(engine: Engine, model: Model): Translator {
  const clusters = clusterQueries(engine, model);
  const endpointSets = endpointSetQueries(engine, model);
  const listeners = listenerQueries(engine, model);
  const routes = routeQueries(engine, model);
  const nameTables = nameTableQueries(engine, model);
  const { clients, workloads, gateways, virtualServices } = model;

  const placeOf = ({ locality, labels, cluster, network }: ProxyView): Place => {
    const all = placedLabels(labels, { ...locality, cluster, network, node: "" });
    return { locality, labels: endpointSets.placeLabels(all) };
  };

  const inboundOf = (view: ProxyView): InboundKey => {
    const { namespace, cluster, labels, workloadPorts } = view;
    const services = workloads.servicesOf.get({ namespace, cluster, labels });
    const named = workloads.portNames(services).flatMap((name) => {
      const port = workloadPorts.find((each) => each.name === name)?.port ?? workloads.portByName(services, name);
      return port === undefined ? [] : [[name, port] as const];
    });
    return { services, namedPorts: Object.fromEntries(named) };
  };

  const sidecarScopes = (view: ProxyView): Readonly<Record<TypeUrl, readonly Scope[]>> => {
    const { namespace, cluster, network, labels, interception } = view;
    const client = clients.sidecarClient({ namespace, labels });
    const inbound = inboundOf(view);
    const transparent = interception === "TPROXY";
    const routeView: SidecarRouteView = {
      kind: "sidecar",
      client,
      namespace,
      cluster,
      sourceLabels: selectedLabels(labels, virtualServices.sourceLabels.get(client)),
    };
    return {
      [typeUrls.cluster]: [
        ...clients.buckets
          .get(client)
          .map((bucket) => ({ kind: "outbound-clusters", bucket, proxy: "sidecar" }) as const),
        { kind: "fixed-clusters", proxy: "sidecar" },
        { kind: "inbound-clusters", inbound, client },
      ],
      [typeUrls.endpoints]: [{ kind: "endpoints", client, place: placeOf(view) }],
      [typeUrls.listener]: [
        { kind: "outbound-listeners", client, cluster },
        { kind: "virtual-outbound", client, transparent },
        { kind: "virtual-inbound", inbound, transparent },
      ],
      [typeUrls.route]: [{ kind: "routes", view: routeView }],
      [typeUrls.nameTable]: [{ kind: "name-table", client, cluster, network }],
    };
  };

  const targetPorts = (view: ProxyView): Readonly<Record<string, number>> =>
    Object.fromEntries(
      workloads.inboundPorts
        .get(inboundOf(view))
        .flatMap(({ port, targets }) => targets.map((target) => [String(target.port), port] as const)),
    );

  const gatewayScopes = (view: ProxyView): Readonly<Record<TypeUrl, readonly Scope[]>> => {
    const { namespace, cluster, network, labels } = view;
    const client = clients.gatewayClient(namespace);
    const selecting = gateways.selecting.get(labels);
    const bound = selecting.flatMap((gateway) => virtualServices.forGateway.get({ viewer: namespace, gateway }));
    const routeView: GatewayRouteView = {
      kind: "gateway",
      client,
      namespace,
      cluster,
      sourceLabels: selectedLabels(
        labels,
        [...new Set(bound)].flatMap((key) => virtualServices.sourceLabelsIn.get(key)),
      ),
      gateways: selecting,
      targetPorts: targetPorts(view),
    };
    return {
      [typeUrls.cluster]: [
        ...clients.buckets
          .get(client)
          .map((bucket) => ({ kind: "outbound-clusters", bucket, proxy: "router" }) as const),
        { kind: "fixed-clusters", proxy: "router" },
      ],
      [typeUrls.endpoints]: [{ kind: "endpoints", client, place: placeOf(view) }],
      [typeUrls.listener]: [{ kind: "gateway-listeners", view: routeView }],
      [typeUrls.route]: [{ kind: "routes", view: routeView }],
      [typeUrls.nameTable]: [{ kind: "name-table", client, cluster, network }],
    };
  };

  const scopes = engine.stringQuery("scopes", (key): Readonly<Record<TypeUrl, readonly string[]>> => {
    const view = parseClass(key);
    const made = view.type === "sidecar" ? sidecarScopes(view) : gatewayScopes(view);
    const entries = Object.values(typeUrls).map((type) => [type, made[type].map(scopeKey)] as const);
    return Object.fromEntries(entries) as unknown as Record<TypeUrl, readonly string[]>;
  });

  const namesIn = (scope: Scope): readonly string[] => {
    switch (scope.kind) {
      case "outbound-clusters":
        return clusters.outboundNames(scope.bucket);
      case "fixed-clusters":
        return clusters.fixedNames(scope.proxy);
      case "inbound-clusters":
        return clusters.inboundNames(scope.inbound);
      case "outbound-listeners":
        return listeners.outboundNames(scope);
      case "virtual-outbound":
        return [virtualOutbound];
      case "virtual-inbound":
        return [virtualInbound];
      case "gateway-listeners":
        return listeners.gatewayNames(scope.view);
      case "name-table":
        return [nameTableName];
      case "endpoints":
      case "routes":
        // Proxies ask for these by the names that their clusters and listeners have.
        return [];
    }
  };

  const resourceIn = (scope: Scope, name: string): EncodedResource | undefined => {
    switch (scope.kind) {
      case "outbound-clusters":
        return clusters.outbound(scope.bucket, scope.proxy, name);
      case "fixed-clusters":
        return clusters.fixed(name);
      case "inbound-clusters":
        return clusters.inbound(scope.inbound, scope.client, name);
      case "endpoints":
        return endpointSets.endpoints(scope.client, scope.place, name);
      case "outbound-listeners":
        return listeners.outbound(scope, name);
      case "virtual-outbound":
        return name === virtualOutbound ? listeners.virtualOutbound(scope.client, scope.transparent) : undefined;
      case "virtual-inbound":
        return name === virtualInbound ? listeners.virtualInbound(scope.inbound, scope.transparent) : undefined;
      case "gateway-listeners":
        return listeners.gateway(scope.view, name);
      case "routes":
        return routes.configuration(scope.view, name);
      case "name-table":
        return name === nameTableName ? nameTables.table(scope) : undefined;
    }
  };

  return {
    classOf: (node) => classKey(proxyView(node)),
    scopes,
    names: engine.stringQuery("names", (key): readonly string[] => namesIn(parseScope(key)).toSorted()),
    resource: engine.query<ScopedName, EncodedResource | undefined>({
      name: "resource",
      key: ({ scope, name }) => `${name}\n${scope}`,
      equal: sameResource,
      compute: ({ scope, name }) => resourceIn(parseScope(scope), name),
    }),
  };
}
