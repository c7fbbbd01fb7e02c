import { ownValue } from "#api/record.ts";
import type { SidecarSpec } from "#api/istio/sidecar.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Client, clientKey, everyone, type Viewer } from "./client.ts";
import { delegatesOf, destinationsOf } from "./destinations.ts";
import { exportsOf, isExportedTo, namedExports } from "./exports.ts";
import { resolveHost } from "./hosts.ts";
import { anywhere, type ForeignRules, foreignRuleQueries } from "./foreign-rules.ts";
import type { MeshSettings } from "./mesh.ts";
import type { Config } from "./rows.ts";
import { only, type ServiceQueries } from "./services.ts";
import {
  admits,
  egressHosts,
  type EgressHost,
  type EgressListener,
  egressListeners,
  isEverything,
  isRelative,
  letsIn,
  patternsFor,
  selectSidecar,
} from "./sidecars.ts";
import { parseServiceKey, serviceKey, type Tables } from "./tables.ts";

/**
 * Services of one namespace as some viewers see them. Viewers that see the same share the bucket, so that what is
 * computed for its services is computed once.
 */
export interface Bucket {
  /** The services' namespace. */
  readonly namespace: string;
  /** A namespace, or `everyone` where nothing in the bucket is special to a namespace. */
  readonly viewer: string;
  /** Keys of the viewer's DestinationRules for hosts of the bucket that are for its workloads only; absent where none is. */
  readonly rules?: readonly string[];
  /** Patterns of host names that are let in (`patternsFor`); `["*"]` for all. */
  readonly hosts: readonly string[];
}

/** A bucket as a key: buckets with the same services have equal keys. */
export function bucketKey(bucket: Bucket): string {
  return `${bucket.namespace}|${bucket.viewer}|${bucket.hosts.join(",")}`;
}

/** Whose DestinationRules hold for a bucket's services. */
export function bucketViewer({ viewer, rules }: Bucket): Viewer {
  return { namespace: viewer, ...(rules && { rules }) };
}

/** A workload, as far as it decides which Sidecar and which DestinationRules apply. */
interface Workload {
  readonly namespace: string;
  readonly labels: StringMap;
}

/** A listener for what a client calls, and what is seen by it. */
export interface ClientEgress {
  readonly client: Client;
  /** Absent where everything that the client sees is reached at its own address. */
  readonly listener?: EgressListener;
}

/** Questions about what proxies see. */
export interface ClientQueries {
  /** The client that a sidecar's workload is. */
  readonly sidecarClient: (workload: Workload) => Client;
  /** The same seeing what is beyond its Sidecar's hosts, too; undefined where that has listeners of its own for them. */
  readonly openClient: (workload: Workload) => Client | undefined;
  /** Whether a Sidecar declares a host of a namespace for a client; none does where it does not say which. */
  readonly declares: (client: Client, namespace: string, host: string) => boolean;
  /** Whether a client's Sidecar declares all hosts. */
  readonly declaresAll: (client: Client) => boolean;
  /** The client that a gateway is. */
  readonly gatewayClient: (workload: Workload) => Client;
  /** The Sidecar object of a client. */
  readonly sidecar: (client: Client) => Config<SidecarSpec> | undefined;
  /** What a client sees, one bucket a namespace. */
  readonly buckets: Query<Client, readonly Bucket[]>;
  /** Keys of a bucket's services, sorted. */
  readonly servicesIn: Query<Bucket, readonly string[]>;
  /** Keys of all services that a client sees, sorted by namespace and host. */
  readonly services: Query<Client, readonly string[]>;
  /** The key of the service that a host name means to a client, if it sees it. */
  readonly serviceForHost: Query<{ readonly client: Client; readonly host: string }, string | undefined>;
  /** The listeners by which a client calls, in their order; one without anything of its own where its Sidecar has none. */
  readonly egress: (client: Client) => readonly ClientEgress[];
  /** What a client sees on a port; undefined where none of its listeners is for it. */
  readonly onPort: (client: Client, port: number) => Client | undefined;
  /** Who sees what a client sees on ports that no listener of its Sidecar is for; undefined where there are only such. */
  readonly onOtherPorts: (client: Client) => Client | undefined;
  /** Whether a client lets in a host of a namespace, whatever it is. */
  readonly imports: (client: Client, namespace: string, host: string) => boolean;
}

/** What a namespace exports to named namespaces only. */
interface NamedExports {
  readonly namespaces: readonly string[];
}

/** Declares the queries about what proxies see. */
export function clientQueries(engine: Engine, tables: Tables, services: ServiceQueries): ClientQueries {
  const mesh = (): MeshSettings => services.mesh.get(only);
  const rules: ForeignRules = foreignRuleQueries(engine, tables, services);

  const namedExportsOf = engine.stringQuery("named-exports-of", (namespace): NamedExports => {
    const settings = mesh();
    const exports = [
      ...services.keysIn.get(namespace).flatMap((key) => services.service.get(key)?.exportTo ?? []),
      ...rules.exports.get(namespace),
      ...tables.virtualServices.byNamespace
        .rows(namespace)
        .flatMap((row) =>
          namedExports(exportsOf(row.spec.exportTo, settings.defaultVirtualServiceExportTo), namespace),
        ),
    ];
    const named = exports.filter((each) => each !== everyone && each !== "~");
    return { namespaces: [...new Set(named.map((each) => (each === "." ? namespace : each)))].toSorted() };
  });

  const exporters = engine.stringQuery("exporters", (): Readonly<Record<string, readonly string[]>> => {
    const owners = new Set([
      ...services.namespaces.get(only),
      ...tables.destinationRules.byNamespace.names(),
      ...tables.virtualServices.byNamespace.names(),
    ]);
    const pairs = [...owners].flatMap((owner) =>
      namedExportsOf.get(owner).namespaces.map((viewer) => ({ owner, viewer })),
    );
    const grouped = Map.groupBy(pairs, (pair) => pair.viewer);
    return Object.fromEntries([...grouped].map(([viewer, all]) => [viewer, all.map((pair) => pair.owner)]));
  });

  /** Namespaces that have services of the same hosts as this one. */
  const rivals = engine.stringQuery("rival-services", (namespace): readonly string[] => {
    const shared = services.keysIn
      .get(namespace)
      .map((key) => services.keysOfHost.get(parseServiceKey(key).host))
      .filter((keys) => keys.length > 1);
    return [...new Set(shared.flat().map((key) => parseServiceKey(key).namespace))].toSorted();
  });

  /** Namespaces whose services a namespace sees otherwise than everyone does; `*` for all. */
  const special = engine.stringQuery("special-namespaces", (namespace): readonly string[] => {
    const owners = ownValue(exporters.get(only), namespace) ?? [];
    // What is shown to this namespace alone may win over a service of the same host elsewhere.
    const contested = [namespace, ...owners].flatMap((owner) => rivals.get(owner));
    const targets = [...rules.targets.get(namespace), ...rules.fromRoot.get(namespace)];
    return [...new Set([...owners, ...contested, ...targets])].toSorted();
  });

  /** Who looks at the services of a namespace: the client itself only where they are special to it. */
  const viewerFor = (client: Client, namespace: string): Pick<Bucket, "viewer" | "rules"> => {
    const { namespace: viewer } = client;
    if (viewer === everyone) return { viewer };
    const chosen = rules.among(client, namespace);
    if (chosen.length > 0) return { viewer, rules: chosen };
    const different = special.get(viewer);
    return { viewer: different.includes(namespace) || different.includes(anywhere) ? viewer : everyone };
  };

  const sidecarRow = (key: string): Config<SidecarSpec> | undefined =>
    key === "" ? undefined : tables.sidecars.rows.get(key);

  const candidates = engine.stringQuery("sidecar-candidates", (namespace) => {
    const root = mesh().rootNamespace;
    return {
      own: tables.sidecars.byNamespace.rows(namespace),
      root: namespace === root ? [] : tables.sidecars.byNamespace.rows(root),
    };
  });

  const clientOf = ({ namespace, labels }: Workload, sidecar: Config<SidecarSpec> | undefined): Client => {
    const relative = (sidecar ? egressHosts(sidecar.spec) : [])?.some((each) => isRelative(each));
    const chosen = rules.choosing(namespace, labels);
    const general = special.get(namespace).length === 0 && relative !== true && chosen.length === 0;
    return {
      namespace: general ? everyone : namespace,
      ...(chosen.length > 0 && { rules: chosen }),
      sidecar: sidecar ? `${sidecar.namespace}/${sidecar.name}` : "",
    };
  };

  const openClient = (workload: Workload): Client | undefined => {
    const { namespace, labels } = workload;
    const row = selectSidecar(candidates.get(namespace), labels);
    const client = clientOf(workload, row);
    if (!row || egressHosts(row.spec) === undefined) return client;
    if (egressListeners(row.spec).length > 0) return undefined;
    return { ...clientOf(workload, undefined), sidecar: client.sidecar, open: true };
  };

  const declares: ClientQueries["declares"] = (client, namespace, host) => {
    const hosts = egressHosts(sidecarRow(client.sidecar)?.spec ?? {});
    return hosts !== undefined && letsIn(hosts, client.namespace, namespace, host);
  };

  const declaresAll: ClientQueries["declaresAll"] = (client) =>
    egressHosts(sidecarRow(client.sidecar)?.spec ?? {})?.some(isEverything) === true;

  const egressOf = (client: Client): readonly EgressHost[] | undefined => {
    if (client.open) return undefined;
    const row = sidecarRow(client.sidecar);
    if (!row || client.listener === undefined) return row && egressHosts(row.spec);
    const own = row.spec.egress?.[client.listener];
    return own ? egressHosts({ egress: [own] }) : [];
  };

  const egress = (client: Client): readonly ClientEgress[] => {
    const listeners = egressListeners(sidecarRow(client.sidecar)?.spec ?? {});
    if (listeners.length === 0) return [{ client }];
    return listeners.map((listener) => ({ client: { ...client, listener: listener.index }, listener }));
  };

  const onPort = (client: Client, port: number): Client | undefined =>
    egress(client).find(({ listener }) => listener?.port === undefined || listener.port.number === port)?.client;

  const onOtherPorts = (client: Client): Client | undefined =>
    egress(client).find(({ listener }) => listener?.port === undefined)?.client;

  const imports = (client: Client, namespace: string, host: string): boolean => {
    const hosts = egressOf(client);
    return hosts === undefined || letsIn(hosts, client.namespace, namespace, host);
  };

  const servicesIn = engine.query<Bucket, readonly string[]>({
    name: "bucket-services",
    key: bucketKey,
    compute: ({ namespace, viewer, hosts }) =>
      services.keysIn.get(namespace).filter((key) => {
        const { host } = parseServiceKey(key);
        if (!hosts.some((pattern) => admits(pattern, host))) return false;
        const service = services.service.get(key);
        if (!service || !isExportedTo(service.exportTo, namespace, viewer)) return false;
        return services.keyForHost.get({ viewer, host }) === key;
      }),
  });

  /** Hosts outside of a Sidecar's list that VirtualServices inside of it send requests to. */
  const routedTo = (client: Client, egress: readonly EgressHost[]): readonly string[] => {
    const targets = tables.virtualServices.rows.rows().flatMap((row) => {
      const inside = (row.spec.hosts ?? []).some((host) =>
        letsIn(egress, client.namespace, row.namespace, resolveHost(host, row.namespace)),
      );
      const exports = exportsOf(row.spec.exportTo, mesh().defaultVirtualServiceExportTo);
      if (!inside || !isExportedTo(exports, row.namespace, client.namespace)) return [];
      return [row, ...delegatesOf(tables.virtualServices.rows, row)].flatMap(destinationsOf);
    });
    return [...new Set(targets)].toSorted();
  };

  const buckets = engine.query<Client, readonly Bucket[]>({
    name: "buckets",
    key: clientKey,
    compute: (client) => {
      const egress = egressOf(client);
      // Clusters are needed for what routes lead to, listeners are not.
      const extra = egress === undefined || client.listener !== undefined ? [] : routedTo(client, egress);
      return services.namespaces.get(only).flatMap((namespace): readonly Bucket[] => {
        const viewer = viewerFor(client, namespace);
        if (egress === undefined) return [{ namespace, ...viewer, hosts: ["*"] }];
        const patterns = patternsFor(egress, client.namespace, namespace);
        const inferred = extra.filter((host) => services.keysOfHost.get(host).includes(serviceKey(namespace, host)));
        const hosts = patterns.includes("*") ? ["*"] : [...new Set([...patterns, ...inferred])].toSorted();
        const bucket = { namespace, ...viewer, hosts };
        return hosts.length === 0 || servicesIn.get(bucket).length === 0 ? [] : [bucket];
      });
    },
  });

  const all = engine.query<Client, readonly string[]>({
    name: "visible-services",
    key: clientKey,
    compute: (client) => buckets.get(client).flatMap((bucket) => servicesIn.get(bucket)),
  });

  const serviceForHost = engine.query<{ readonly client: Client; readonly host: string }, string | undefined>({
    name: "visible-service-for-host",
    key: ({ client, host }) => `${clientKey(client)}|${host}`,
    compute: ({ client, host }) => {
      const keys = services.keysOfHost.get(host);
      const homes = new Set(keys.map((key) => parseServiceKey(key).namespace));
      const seen = buckets.get(client).filter(({ namespace }) => homes.has(namespace));
      return seen.flatMap((bucket) => keys.filter((key) => servicesIn.get(bucket).includes(key)))[0];
    },
  });

  return {
    sidecarClient: (workload) => clientOf(workload, selectSidecar(candidates.get(workload.namespace), workload.labels)),
    openClient,
    declares,
    declaresAll,
    gatewayClient: (workload) => clientOf(workload, undefined),
    sidecar: (client) => sidecarRow(client.sidecar),
    buckets,
    servicesIn,
    services: all,
    serviceForHost,
    egress,
    onPort,
    onOtherPorts,
    imports,
  };
}
