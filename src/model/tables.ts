import type { AuthorizationPolicySpec } from "#api/istio/authorization-policy.ts";
import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { EnvoyFilterSpec } from "#api/istio/envoy-filter.ts";
import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { PeerAuthenticationSpec } from "#api/istio/peer-authentication.ts";
import type { ProxyConfigSpec } from "#api/istio/proxy-config.ts";
import type { RequestAuthenticationSpec } from "#api/istio/request-authentication.ts";
import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import type { SidecarSpec } from "#api/istio/sidecar.ts";
import type { TrafficExtensionSpec } from "#api/istio/traffic-extension.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { WasmPluginSpec } from "#api/istio/wasm-plugin.ts";
import type { WorkloadEntrySpec } from "#api/istio/workload-entry.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Index, Table } from "#incremental/table.ts";
import type { CredentialRow } from "./credentials/row.ts";
import { ruleCredentials } from "./credentials/uses.ts";
import { parseServiceHost, resolveHost, serviceHost } from "./hosts.ts";
import type { ReferenceGrantSpec } from "#api/gateway-api/reference-grant.ts";
import type { JwksRow } from "./jwks.ts";
import type { MeshInput } from "./mesh.ts";
import { externalNameOf } from "./service.ts";
import type { ClusterRow, Config, HeldHosts, NamespaceRow, NodeRow, PodRow, ServiceRow, SliceRow } from "./rows.ts";

/** A service's key: hosts may repeat in several namespaces. */
export function serviceKey(namespace: string, host: string): string {
  return `${namespace}/${host}`;
}

/** The parts of a service's key. */
export function parseServiceKey(key: string): { readonly namespace: string; readonly host: string } {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, slash), host: key.slice(slash + 1) };
}

/** A table of Istio objects, and the ways into it. */
interface ConfigTable<Spec> {
  readonly rows: Table<Config<Spec>>;
  readonly byNamespace: Index<Config<Spec>>;
}

/** What connected proxies of a workload asked for: they hold it, or were told that there is none, until they end. */
export interface Asks {
  /** A route configuration and a host, `9080/reviews:9080`, or a cluster, sorted. */
  readonly names: readonly string[];
  /** Whether they asked for more than is kept, so that they get everything. */
  readonly tooMany: boolean;
}

/** The mesh's inputs. Rows of clusters' objects are keyed `cluster/namespace/name`, Istio's `namespace/name`. */
export interface Tables {
  readonly clusters: Table<ClusterRow>;
  /** Member clusters that only their own callers are led to. */
  readonly drained: Table<true>;
  /** One row, `mesh`. */
  readonly mesh: Table<MeshInput>;
  readonly nodes: Table<NodeRow>;
  readonly namespaces: Table<NamespaceRow>;
  /** By name: one of the mesh's own API, and one of each cluster. */
  readonly namespacesByName: Index<NamespaceRow>;
  readonly pods: Table<PodRow>;
  /** By `namespace/label=value`, for each label. */
  readonly podsByLabel: Index<PodRow>;
  /** By `label=value`, for each label. */
  readonly podsWithLabel: Index<PodRow>;
  readonly services: Table<ServiceRow>;
  /** By service key. */
  readonly servicesByKey: Index<ServiceRow>;
  readonly servicesByNamespace: Index<ServiceRow>;
  /** Services that say that they are gateways, by the network that they lead to. */
  readonly networkGateways: Index<ServiceRow>;
  /** By the host that a Service is another name of. */
  readonly servicesByExternalName: Index<ServiceRow>;
  readonly slices: Table<SliceRow>;
  /** By service key. */
  readonly slicesByService: Index<SliceRow>;
  readonly serviceEntries: ConfigTable<ServiceEntrySpec>;
  /** By service key, once for each host. */
  readonly entriesByKey: Index<Config<ServiceEntrySpec>>;
  /** By host. */
  readonly entriesByHost: Index<Config<ServiceEntrySpec>>;
  /** By service key, those whose host is called as one of a Kubernetes service in another namespace: hardly ever any. */
  readonly strayEntries: Index<Config<ServiceEntrySpec>>;
  readonly workloadEntries: ConfigTable<WorkloadEntrySpec>;
  readonly destinationRules: ConfigTable<DestinationRuleSpec>;
  /** By namespace and host: `shop/reviews.shop.svc.cluster.local`. */
  readonly rulesByHost: Index<Config<DestinationRuleSpec>>;
  /** Those that name credentials, under the one name `""`. */
  readonly rulesWithCredentials: Index<Config<DestinationRuleSpec>>;
  readonly virtualServices: ConfigTable<VirtualServiceSpec>;
  /** By full host name. */
  readonly virtualServicesByHost: Index<Config<VirtualServiceSpec>>;
  readonly gateways: ConfigTable<GatewaySpec>;
  readonly referenceGrants: ConfigTable<ReferenceGrantSpec>;
  readonly sidecars: ConfigTable<SidecarSpec>;
  readonly envoyFilters: ConfigTable<EnvoyFilterSpec>;
  readonly peerAuthentications: ConfigTable<PeerAuthenticationSpec>;
  readonly proxyConfigs: ConfigTable<ProxyConfigSpec>;
  readonly wasmPlugins: ConfigTable<WasmPluginSpec>;
  readonly trafficExtensions: ConfigTable<TrafficExtensionSpec>;
  readonly authorizationPolicies: ConfigTable<AuthorizationPolicySpec>;
  readonly requestAuthentications: ConfigTable<RequestAuthenticationSpec>;
  /** Keys of tokens' issuers that were fetched, or why they could not be, by where they are (`jwksKey`). */
  readonly jwks: Table<JwksRow>;
  /** Service accounts (`secretAccountKey`) that may not read the Secrets of their namespace, as their cluster said. */
  readonly secretRefusals: Table<true>;
  readonly egressScopes: ConfigTable<HeldHosts>;
  /** What proxies asked for by name, by workload (`namespace/name`). */
  readonly asks: Table<Asks>;
  /** One row, `now`: milliseconds since the epoch, as coarse as whoever sets it likes. */
  readonly time: Table<number>;
  /** Of clusters and of the mesh's own API, whose cluster is empty. */
  readonly secrets: Table<CredentialRow>;
  /** Those of the mesh's own API that hold authorities. */
  readonly configMaps: Table<CredentialRow>;
}

function configTable<Spec>(engine: Engine, name: string): ConfigTable<Spec> {
  const rows = engine.table<Config<Spec>>(name);
  return { rows, byNamespace: rows.index("namespace", (row) => [row.namespace]) };
}

/** A pod's label as a name of an index. */
export function podLabel(namespace: string, label: string, value: string): string {
  return `${namespace}/${label}=${value}`;
}

/** Declares the inputs on an engine. */
export function declareTables(engine: Engine): Tables {
  const namespaces = engine.table<NamespaceRow>("namespaces");
  const pods = engine.table<PodRow>("pods");
  const services = engine.table<ServiceRow>("services");
  const slices = engine.table<SliceRow>("endpointslices");
  const serviceEntries = configTable<ServiceEntrySpec>(engine, "serviceentries");
  const destinationRules = configTable<DestinationRuleSpec>(engine, "destinationrules");
  const virtualServices = configTable<VirtualServiceSpec>(engine, "virtualservices");
  return {
    clusters: engine.table("clusters"),
    drained: engine.table("drained"),
    mesh: engine.table("mesh"),
    nodes: engine.table("nodes"),
    namespaces,
    namespacesByName: namespaces.index("name", (row) => [row.name]),
    pods,
    podsByLabel: pods.index("label", (row) =>
      Object.entries(row.labels).map(([label, value]) => podLabel(row.namespace, label, value)),
    ),
    podsWithLabel: pods.index("any-label", (row) =>
      Object.entries(row.labels).map(([label, value]) => `${label}=${value}`),
    ),
    services,
    servicesByKey: services.index("key", (row) => [serviceKey(row.namespace, serviceHost(row.name, row.namespace))]),
    servicesByNamespace: services.index("namespace", (row) => [row.namespace]),
    networkGateways: services.index("network-gateway", (row) => (row.gatewayOf === "" ? [] : [row.gatewayOf])),
    servicesByExternalName: services.index("external-name", (row) =>
      [externalNameOf(row)].flatMap((host) => host ?? []),
    ),
    slices,
    slicesByService: slices.index("service", (row) => [
      serviceKey(row.namespace, serviceHost(row.service, row.namespace)),
    ]),
    serviceEntries,
    entriesByKey: serviceEntries.rows.index("key", (row) =>
      row.spec.hosts.map((host) => serviceKey(row.namespace, host)),
    ),
    entriesByHost: serviceEntries.rows.index("host", (row) => row.spec.hosts),
    strayEntries: serviceEntries.rows.index("stray", (row) =>
      row.spec.hosts
        .filter((host) => (parseServiceHost(host)?.namespace ?? row.namespace) !== row.namespace)
        .map((host) => serviceKey(row.namespace, host)),
    ),
    workloadEntries: configTable(engine, "workloadentries"),
    destinationRules,
    rulesByHost: destinationRules.rows.index("host", (row) => [
      serviceKey(row.namespace, resolveHost(row.spec.host, row.namespace)),
    ]),
    rulesWithCredentials: destinationRules.rows.index("credentials", (row) =>
      ruleCredentials(row.spec).length > 0 ? [""] : [],
    ),
    virtualServices,
    virtualServicesByHost: virtualServices.rows.index("host", (row) =>
      (row.spec.hosts ?? []).map((host) => resolveHost(host, row.namespace)),
    ),
    gateways: configTable(engine, "gateways"),
    referenceGrants: configTable(engine, "referencegrants"),
    sidecars: configTable(engine, "sidecars"),
    envoyFilters: configTable(engine, "envoyfilters"),
    peerAuthentications: configTable(engine, "peerauthentications"),
    proxyConfigs: configTable(engine, "proxyconfigs"),
    wasmPlugins: configTable(engine, "wasmplugins"),
    trafficExtensions: configTable(engine, "trafficextensions"),
    authorizationPolicies: configTable(engine, "authorizationpolicies"),
    requestAuthentications: configTable(engine, "requestauthentications"),
    jwks: engine.table("jwks"),
    secretRefusals: engine.table("secret-refusals"),
    egressScopes: configTable(engine, "egressscopes"),
    asks: engine.table("asks"),
    time: engine.table("time"),
    secrets: engine.table("secrets"),
    configMaps: engine.table("configmaps"),
  };
}
