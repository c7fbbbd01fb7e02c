import type { StringMap } from "#api/meta.ts";
import { placedLabels } from "#model/endpoint.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Model } from "#model/model.ts";
import type { InboundKey } from "#model/workloads.ts";
import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import type { EndpointSetQueries } from "./endpoint-queries.ts";
import type { Place } from "./endpoints/locality.ts";
import type { Scope } from "./scopes.ts";
import type { GatewayRouteView, ProxyView, SidecarRouteView } from "./view.ts";

/** The scopes of a class of proxies, by type. */
export type ClassScopes = Readonly<Record<TypeUrl, readonly Scope[]>>;

/** Those of a proxy's labels that selectors name which it fits. */
function selectedLabels(labels: StringMap, selectors: readonly StringMap[]): StringMap {
  return Object.assign({}, ...selectors.filter((selector) => labelsMatch(selector, labels))) as StringMap;
}

/** Works out which sets of resources a class of proxies shares with which others; read it inside of a query. */
export function classScopes(model: Model, endpointSets: EndpointSetQueries): (view: ProxyView) => ClassScopes {
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

  const sidecarScopes = (view: ProxyView): ClassScopes => {
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

  const gatewayScopes = (view: ProxyView): ClassScopes => {
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

  return (view) => (view.type === "sidecar" ? sidecarScopes(view) : gatewayScopes(view));
}
