import type { StringMap } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import { type Client, clientKey } from "#model/client.ts";
import { placedLabels } from "#model/endpoint.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Model } from "#model/model.ts";
import type { MutualTlsMode, PeerPolicy } from "#model/peer-authentications.ts";
import { only } from "#model/services.ts";
import type { ChosenPolicies } from "#model/policies.ts";
import { type TrafficConfig, trafficConfig, type UnusedFilter } from "#model/proxy-config.ts";
import type { InboundKey } from "#model/workloads.ts";
import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import { ownConfigQuery } from "./own-config.ts";
import { isAutoPassthrough } from "./gateways/server.ts";
import { askingWorkload, type Discovery } from "./discovery.ts";
import type { ConnectionQueries } from "./connections/queries.ts";
import { type ClusterQueries, type ClusterUser, userKey } from "./cluster-queries.ts";
import type { EndpointSetQueries } from "./endpoint-queries.ts";
import type { Place } from "./endpoints/locality.ts";
import type { Asks } from "./listeners/asks.ts";
import { ownKind } from "./own-endpoints.ts";
import type { SecretQueries } from "./secrets/queries.ts";
import { type Holder, type PeerScope, scopeKey } from "./scopes.ts";
import type { GatewayRouteView, ProxyView, SidecarRouteView } from "./view.ts";

/** Keys of the scopes of a class of proxies, by type. */
export type ClassScopes = Readonly<Record<TypeUrl, readonly string[]>>;

/** The same less what agents are told, which no other scopes have a part in. */
type ProxyScopes = Omit<ClassScopes, typeof typeUrls.bootstrap>;

/** Whether a proxy has a certificate of the mesh, as part of a scope. */
function identifiedOf({ identified }: ProxyView): { readonly identified?: true } {
  return identified ? { identified } : {};
}

/** Those of a proxy's labels that selectors name which it fits. */
function selectedLabels(labels: StringMap, selectors: readonly StringMap[]): StringMap {
  return Object.assign({}, ...selectors.filter((selector) => labelsMatch(selector, labels))) as StringMap;
}

/** What the scopes of classes are worked out with. */
export interface ClassScopeContext {
  readonly engine: Engine;
  readonly model: Model;
  readonly clusters: ClusterQueries;
  readonly endpointSets: EndpointSetQueries;
  readonly connections: ConnectionQueries;
  readonly secrets: SecretQueries;
  /** What proxies hold. */
  readonly discovery: (view: ProxyView) => Discovery;
  /** Filters that proxies go without. */
  readonly unused: (view: ProxyView) => readonly UnusedFilter[];
}

/** What the scopes of classes are. */
interface ClassScopeQueries {
  readonly scopesFor: (view: ProxyView) => ProxyScopes;
  /** Who holds only what its workload calls; undefined for who holds everything. */
  readonly holderOf: (view: ProxyView) => Holder | undefined;
}

const either = (asked: MutualTlsMode): MutualTlsMode => (asked === "STRICT" ? "PERMISSIVE" : asked);

/** The same, but that no port takes mutual TLS alone. */
function withPlainText({ mode, ports, by }: PeerPolicy): PeerPolicy {
  const each = Object.entries(ports).map(([port, asked]) => [port, either(asked)] as const);
  return { mode: either(mode), ports: Object.fromEntries(each), by };
}

/** Works out which sets of resources a class of proxies shares with which others; read it inside of a query. */
export function classScopes({
  engine,
  model,
  clusters,
  endpointSets,
  connections,
  secrets,
  discovery,
  unused,
}: ClassScopeContext): ClassScopeQueries {
  const { clients, workloads, gateways, services, virtualServices } = model;

  /** Many, and the same for all classes of a client: worked out once, and one text each in memory. */
  const outboundClusters = engine.query<ClusterUser & { readonly client: Client }, readonly string[]>({
    name: "outbound-cluster-scopes",
    key: ({ client, place, ...user }) => `${userKey(user)}|${clientKey(client)}${place ? `|${canonical(place)}` : ""}`,
    compute: ({ client, place, ...user }) =>
      clients.buckets.get(client).map((bucket) => {
        const near = place && clusters.byPlace.get(bucket) && { place };
        return scopeKey({ kind: "outbound-clusters", bucket, ...user, ...near });
      }),
  });

  const clustersByPlace = engine.query<Client, boolean>({
    name: "clusters-of-client-by-place",
    key: clientKey,
    compute: (client) => clients.buckets.get(client).some((bucket) => clusters.byPlace.get(bucket)),
  });

  const ownConfigs = ownConfigQuery(engine, model);

  const placeOf = ({ locality, labels, cluster, network, node }: ProxyView): Place => {
    const all = placedLabels(labels, { ...locality, cluster, network, node });
    return { locality, labels: endpointSets.placeLabels(all) };
  };

  const clusterScopes = (client: Client, view: ProxyView): readonly string[] =>
    outboundClusters.get({
      client,
      proxy: view.type,
      ...identifiedOf(view),
      ...(clustersByPlace.get(client) && { place: placeOf(view) }),
    });

  /** Clusters to which a gateway passes on TLS of the mesh; none where no server of it does. */
  const passedScopes = (client: Client, view: ProxyView, selecting: readonly string[]): readonly string[] => {
    const passes = selecting.some((key) => gateways.gateway.get(key)?.spec.servers?.some(isAutoPassthrough));
    if (!passes) return [];
    const place = clustersByPlace.get(client) && { place: placeOf(view) };
    return outboundClusters.get({ client, proxy: view.type, passed: true, ...place });
  };

  const endpointScopes = (client: Client, view: ProxyView): readonly string[] => {
    const seen = scopeKey({ kind: "endpoints", client, place: placeOf(view), origin: endpointSets.originOf(view) });
    const own = ownKind(view, inboundOf(view));
    return own ? [seen, scopeKey({ kind: "own-endpoints", own })] : [seen];
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

  const ownOf = (view: ProxyView): { readonly own?: TrafficConfig } => {
    const own = view.config && ownConfigs.get(view.config);
    const without = unused(view);
    if (without.length === 0) return own ? { own } : {};
    return { own: { ...(own ?? trafficConfig(services.mesh.get(only).defaultConfig)), unused: without } };
  };

  /** None where nothing asks for a secret, as in most meshes. */
  const secretScopes = (view: ProxyView, gatewayKeys: readonly string[]): readonly string[] => {
    const { namespace, cluster, withoutSecrets } = view;
    const rules = secrets.rulesFor(view);
    const readers = { namespace, cluster, gateways: gatewayKeys, rules, ...(withoutSecrets && { withoutSecrets }) };
    return readers.gateways.length + readers.rules.length === 0 ? [] : [scopeKey({ kind: "secrets", readers })];
  };

  const policiesOf = (view: ProxyView): { readonly policies?: ChosenPolicies } => {
    const { namespace, cluster, labels } = view;
    const services = (): readonly string[] => workloads.servicesOf.get({ namespace, cluster, labels });
    const policies = model.policies.chosen({ namespace, labels, services });
    return policies ? { policies } : {};
  };

  const clientOf = (view: ProxyView): Client => {
    const found = discovery(view);
    return found.mode === "OnDemand" ? found.client : clients.sidecarClient(view);
  };

  /** Also where all is held, requests would wait for hosts: a switch must find listeners that do. */
  const asksOf = (view: ProxyView): Asks | undefined => {
    if (askingWorkload(view) === undefined) return undefined;
    return discovery(view).mode === "OnDemand" ? "clusters" : "hosts";
  };

  /** What a workload takes; for proxies without certificates, where they must not take plain text. */
  const peersOf = ({ identified, lenient, namespace, labels }: ProxyView): { readonly peers?: PeerScope } => {
    const asked = model.peers.policy({ namespace, labels });
    const policy = lenient ? withPlainText(asked) : asked;
    const closed = [policy.mode, ...Object.values(policy.ports)].includes("STRICT");
    return identified || closed ? { peers: { policy, identified: identified === true } } : {};
  };

  const routeViewOf = ({ namespace, cluster, labels }: ProxyView, client: Client): SidecarRouteView => ({
    kind: "sidecar",
    client,
    namespace,
    cluster,
    sourceLabels: selectedLabels(labels, virtualServices.sourceLabels.get(client)),
  });

  const sidecarScopes = (view: ProxyView): ProxyScopes => {
    const own = ownOf(view);
    const { cluster, network, interception } = view;
    const client = clientOf(view);
    const asks = asksOf(view);
    const ingress = clients.sidecar(client)?.spec.ingress ?? [];
    const unredirected = interception === "NONE" ? ({ unredirected: true } as const) : {};
    const ipv6 = view.ipv6 && interception === "REDIRECT" ? ({ ipv6: true } as const) : {};
    const ports = { ...inboundOf(view), ...(ingress.length > 0 && { sidecar: client.sidecar }) };
    const inbound = { ...ports, ...unredirected, ...ipv6 };
    const transparent = interception === "TPROXY";
    const routeView = routeViewOf(view, client);
    return {
      [typeUrls.cluster]: [
        ...clusterScopes(client, view),
        scopeKey({ kind: "fixed-clusters", proxy: "sidecar", ...ipv6 }),
        scopeKey({ kind: "inbound-clusters", inbound, client }),
      ],
      [typeUrls.endpoints]: endpointScopes(client, view),
      [typeUrls.listener]: [
        scopeKey({
          kind: "outbound-listeners",
          client,
          cluster,
          source: connections.sourceOf(client, view),
          ...unredirected,
          ...(asks && { asks }),
          ...identifiedOf(view),
          ...own,
        }),
        ...(interception === "NONE" ? [] : [scopeKey({ kind: "virtual-outbound", client, transparent, ...own })]),
        scopeKey({ kind: "virtual-inbound", inbound, transparent, ...peersOf(view), ...own, ...policiesOf(view) }),
      ],
      [typeUrls.route]: [scopeKey({ kind: "routes", view: routeView })],
      [typeUrls.secret]: secretScopes(view, []),
      [typeUrls.virtualHost]: [],
      [typeUrls.extension]: [],
      [typeUrls.nameTable]: [scopeKey({ kind: "name-table", client, cluster, network })],
    };
  };

  const targetPorts = (view: ProxyView): Readonly<Record<string, number>> =>
    Object.fromEntries(
      workloads.inboundPorts
        .get(inboundOf(view))
        .flatMap(({ port, targets }) =>
          targets
            .filter(({ service }) => services.service.get(service)?.podPorts !== true)
            .map((target) => [String(target.port), port] as const),
        ),
    );

  /** Ports on which callers of a gateway may speak HTTP/3, as its Services have them. */
  const udpPorts = ({ namespace, cluster, labels }: ProxyView): readonly number[] => {
    if (!services.mesh.get(only).protocols.http3) return [];
    const ports = workloads.servicesOf
      .get({ namespace, cluster, labels })
      .flatMap((key) => services.service.get(key)?.ports ?? []);
    const numbers = ports.filter(({ protocol }) => protocol === "UDP").map(({ number }) => number);
    return [...new Set(numbers)].toSorted((a, b) => a - b);
  };

  const gatewayScopes = (view: ProxyView): ProxyScopes => {
    const { namespace, cluster, network, labels } = view;
    const client = clients.gatewayClient({ namespace, labels });
    const selecting = gateways.selecting.get(labels);
    const quic = udpPorts(view);
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
      ...(quic.length > 0 && { udpPorts: quic }),
    };
    return {
      [typeUrls.cluster]: [
        ...clusterScopes(client, view),
        scopeKey({ kind: "fixed-clusters", proxy: "router" }),
        ...passedScopes(client, view, selecting),
      ],
      [typeUrls.endpoints]: endpointScopes(client, view),
      [typeUrls.listener]: [
        scopeKey({
          kind: "gateway-listeners",
          view: routeView,
          ...identifiedOf(view),
          ...ownOf(view),
          ...policiesOf(view),
        }),
      ],
      [typeUrls.route]: [scopeKey({ kind: "routes", view: routeView })],
      [typeUrls.secret]: secretScopes(view, selecting),
      [typeUrls.virtualHost]: [],
      [typeUrls.extension]: [],
      [typeUrls.nameTable]: [scopeKey({ kind: "name-table", client, cluster, network })],
    };
  };

  return {
    scopesFor: (view) => (view.type === "sidecar" ? sidecarScopes(view) : gatewayScopes(view)),
    holderOf: (view) => {
      const found = discovery(view);
      if (found.mode !== "OnDemand") return undefined;
      const { workload, client } = found;
      return { workload, declaring: clients.sidecarClient(view), view: routeViewOf(view, client) };
    },
  };
}
