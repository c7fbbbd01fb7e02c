import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Client, clientKey, everyone } from "./client.ts";
import type { ClientQueries } from "./clients.ts";
import { delegatesOf } from "./destinations.ts";
import { exportsOf, isExportedTo } from "./exports.ts";
import { compareHosts, resolveHost } from "./hosts.ts";
import type { Config } from "./rows.ts";
import { byAge } from "./service.ts";
import { only, type ServiceQueries } from "./services.ts";
import type { Tables } from "./tables.ts";

/** The gateway name that stands for all sidecars. */
export const meshGateway = "mesh";

/** A VirtualService without its routes: who gets it. */
interface Exposure {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  /** Full host names. */
  readonly hosts: readonly string[];
  /** `mesh`, and Gateways as `namespace/name`. */
  readonly gateways: readonly string[];
  readonly exportTo: readonly string[];
  /** Whether it routes connections, not only requests. */
  readonly connections: boolean;
}

/** A host that VirtualServices are about, as a client sees it. */
interface VirtualHostRules {
  /** A full host name, possibly a wildcard. */
  readonly host: string;
  /** Keys of the VirtualServices: the more private ones first (`distance`), then the older ones. */
  readonly virtualServices: readonly string[];
}

/** A VirtualService that routes connections. */
interface ConnectionHosts {
  readonly virtualService: string;
  /** Full host names; may begin with a wildcard. */
  readonly hosts: readonly string[];
}

/** A Gateway as the proxies of a namespace see the VirtualServices bound to it. */
interface GatewayClient {
  /** Namespace of the gateway's proxies. */
  readonly viewer: string;
  /** `namespace/name` of the Gateway. */
  readonly gateway: string;
}

/** Questions about VirtualServices. */
export interface VirtualServiceQueries {
  /** A VirtualService by `namespace/name`. */
  readonly virtualService: Query<string, Config<VirtualServiceSpec> | undefined>;
  /** Who gets a VirtualService; changes less often than its routes do. */
  readonly exposure: Query<string, Exposure | undefined>;
  /** Keys of the VirtualServices that a client's sidecars follow, in the order of precedence. */
  readonly meshRules: Query<Client, readonly string[]>;
  /** Hosts with VirtualServices that a client's sidecars follow, the most specific first. */
  readonly meshHosts: Query<Client, readonly VirtualHostRules[]>;
  /** VirtualServices with routes for connections that a client's sidecars follow, in the order of precedence. */
  readonly meshConnections: Query<Client, readonly ConnectionHosts[]>;
  /** VirtualServices bound to a Gateway, oldest first. */
  readonly forGateway: Query<GatewayClient, readonly string[]>;
  /** Every set of labels that a `sourceLabels` match of HTTP routes of the client's VirtualServices asks for. */
  readonly sourceLabels: Query<Client, readonly StringMap[]>;
  /** The same for one VirtualService and what it delegates to. */
  readonly sourceLabelsIn: Query<string, readonly StringMap[]>;
}

/** A Gateway's name as VirtualServices write it, in full: `./edge`, `edge` and the old `edge.shop.svc.cluster.local`. */
export function resolveGateway(name: string, namespace: string): string {
  if (name === meshGateway) return name;
  if (name.startsWith("./")) return `${namespace}/${name.slice(2)}`;
  if (name.includes("/")) return name;
  const [first = "", second] = name.split(".");
  return second === undefined ? `${namespace}/${name}` : `${second}/${first}`;
}

function sourceLabelsOf({ http = [] }: VirtualServiceSpec): readonly StringMap[] {
  return http.flatMap(({ match = [] }) => match).flatMap(({ sourceLabels }) => (sourceLabels ? [sourceLabels] : []));
}

/** What is not for all goes before what is, and of that what the viewer's own namespace has first; Istio's order. */
function distance({ exportTo, namespace }: Exposure, viewer: string): number {
  if (exportTo.includes(everyone)) return 2;
  return namespace === viewer ? 0 : 1;
}

/** Declares the queries about VirtualServices. */
export function virtualServiceQueries(
  engine: Engine,
  tables: Tables,
  services: ServiceQueries,
  clients: ClientQueries,
): VirtualServiceQueries {
  const { rows } = tables.virtualServices;
  const virtualService = engine.stringQuery("virtual-service", (key) => rows.get(key));

  const exposure = engine.stringQuery("virtual-service-exposure", (key): Exposure | undefined => {
    const row = rows.get(key);
    if (!row) return undefined;
    const { hosts = [], gateways = [], exportTo, tls = [], tcp = [] } = row.spec;
    return {
      key,
      namespace: row.namespace,
      hosts: hosts.map((host) => resolveHost(host, row.namespace).toLowerCase()),
      gateways:
        gateways.length === 0 ? [meshGateway] : gateways.map((gateway) => resolveGateway(gateway, row.namespace)),
      exportTo: exportsOf(exportTo, services.mesh.get(only).defaultVirtualServiceExportTo),
      connections: tls.length + tcp.length > 0,
    };
  });

  const oldestFirst = engine.stringQuery("virtual-services", (): readonly string[] =>
    rows
      .keys()
      .flatMap((key) => rows.get(key) ?? [])
      .toSorted(byAge)
      .map((row) => `${row.namespace}/${row.name}`),
  );

  const visible = (viewer: string, gateway: string): readonly Exposure[] =>
    oldestFirst
      .get(only)
      .flatMap((key) => exposure.get(key) ?? [])
      .filter((each) => each.gateways.includes(gateway) && isExportedTo(each.exportTo, each.namespace, viewer))
      .toSorted((a, b) => distance(a, viewer) - distance(b, viewer));

  const meshRules = engine.query<Client, readonly string[]>({
    name: "virtual-services-for-mesh",
    key: clientKey,
    // A Sidecar that lets in one host of a VirtualService lets in the whole, as in Istio.
    compute: (client) =>
      visible(client.namespace, meshGateway)
        .filter(({ namespace, hosts }) => hosts.some((host) => clients.imports(client, namespace, host)))
        .map(({ key }) => key),
  });

  const meshHosts = engine.query<Client, readonly VirtualHostRules[]>({
    name: "virtual-hosts",
    key: clientKey,
    compute: (client) => {
      const byHost = new Map<string, string[]>();
      for (const each of meshRules.get(client).flatMap((key) => exposure.get(key) ?? [])) {
        for (const host of each.hosts) byHost.set(host, [...(byHost.get(host) ?? []), each.key]);
      }
      return [...byHost]
        .map(([host, virtualServices]) => ({ host, virtualServices }))
        .toSorted((a, b) => compareHosts(a.host, b.host));
    },
  });

  const meshConnections = engine.query<Client, readonly ConnectionHosts[]>({
    name: "virtual-services-for-connections",
    key: clientKey,
    compute: (client) =>
      meshRules
        .get(client)
        .flatMap((key) => exposure.get(key) ?? [])
        .filter(({ connections }) => connections)
        .map(({ key, hosts }) => ({ virtualService: key, hosts })),
  });

  const forGateway = engine.query<GatewayClient, readonly string[]>({
    name: "virtual-services-for-gateway",
    key: ({ viewer, gateway }) => `${viewer}|${gateway}`,
    compute: ({ viewer, gateway }) => visible(viewer, gateway).map((each) => each.key),
  });

  const labelsIn = engine.stringQuery("source-labels-in", (key): readonly StringMap[] => {
    const row = rows.get(key);
    if (!row) return [];
    return [row, ...delegatesOf(rows, row)].flatMap(({ spec }) => sourceLabelsOf(spec));
  });

  const sourceLabels = engine.query<Client, readonly StringMap[]>({
    name: "source-labels",
    key: clientKey,
    compute: (client) => {
      const keys = new Set(meshHosts.get(client).flatMap((each) => each.virtualServices));
      return [...keys].flatMap((key) => labelsIn.get(key));
    },
  });

  return {
    virtualService,
    exposure,
    meshRules,
    meshHosts,
    meshConnections,
    forGateway,
    sourceLabels,
    sourceLabelsIn: labelsIn,
  };
}
