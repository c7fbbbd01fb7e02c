import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { isExportedTo } from "./exports.ts";
import { parseServiceHost, serviceHost } from "./hosts.ts";
import { meshSettings, type MeshSettings } from "./mesh.ts";
import { mergeEntries, mergeServices, type Service } from "./service.ts";
import { rowKey } from "./rows.ts";
import { reachOf, withinReach } from "./visibility.ts";
import { parseServiceKey, serviceKey, type Tables } from "./tables.ts";

/** A host name as a namespace sees it. */
interface HostView {
  /** A namespace, or `everyone`. */
  readonly viewer: string;
  readonly host: string;
}

/** Questions about the mesh's services. */
export interface ServiceQueries {
  /** The mesh's configuration. */
  readonly mesh: Query<string, MeshSettings>;
  /** Labels of a namespace as the mesh's own API has it, else as the first cluster that does. */
  readonly namespaceLabels: (namespace: string) => StringMap;
  /** A service by its key. */
  readonly service: Query<string, Service | undefined>;
  /** Keys of a namespace's services, sorted. */
  readonly keysIn: Query<string, readonly string[]>;
  /** Namespaces that have services, sorted. */
  readonly namespaces: Query<string, readonly string[]>;
  /** Keys of all services of a host, sorted. */
  readonly keysOfHost: Query<string, readonly string[]>;
  /** The host that a host is another name of in the end; undefined for a host that is no alias, and for a circle of them. */
  readonly aliasOf: Query<string, string | undefined>;
  /** Hosts that are other names of a host, directly or through others, sorted by their services' keys. */
  readonly aliases: Query<string, readonly string[]>;
  /** The key of the service that a host name means to a viewer, among those that it may see. */
  readonly keyForHost: Query<HostView, string | undefined>;
}

/** A query without an argument takes this one. */
export const only = "";

/** Of several services of one host: the viewer's own, else a Kubernetes one, else the oldest. */
function preferred(services: readonly Service[], viewer: string): Service | undefined {
  const rank = (service: Service): string => {
    const own = service.namespace === viewer ? 0 : 1;
    const kubernetes = service.registry === "Kubernetes" ? 0 : 1;
    return `${own}${kubernetes} ${service.created} ${service.key}`;
  };
  return services.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
}

/** A Kubernetes host by its namespace, then its name. */
function namespaced(host: string): string {
  return serviceKey(parseServiceHost(host)?.namespace ?? "", host);
}

/** Declares the queries about services. */
export function serviceQueries(engine: Engine, tables: Tables): ServiceQueries {
  const mesh = engine.stringQuery("mesh", () => meshSettings(tables.mesh.get("mesh")));

  const distributionOf = (cluster: string, namespace: string): string =>
    tables.namespaces.get(rowKey(cluster, "", namespace))?.distribution ?? "";

  const labelsOf = (namespace: string): StringMap => {
    const rows = tables.namespacesByName.rows(namespace);
    return rows.toSorted((a, b) => (a.cluster < b.cluster ? -1 : 1))[0]?.labels ?? {};
  };

  const reach = engine.stringQuery("entry-reach", (namespace) => reachOf(mesh.get(only), () => labelsOf(namespace)));

  const service = engine.stringQuery("service", (key): Service | undefined => {
    const exportDefault = mesh.get(only).defaultServiceExportTo;
    const kubernetes = mergeServices(tables.servicesByKey.rows(key), exportDefault, distributionOf);
    if (kubernetes) return kubernetes;
    const { namespace, host } = parseServiceKey(key);
    const entry = mergeEntries(host, tables.entriesByKey.rows(key), exportDefault, distributionOf);
    return entry && { ...entry, exportTo: withinReach(entry.exportTo, reach.get(namespace), namespace) };
  });

  const keysIn = engine.stringQuery("services-in", (namespace): readonly string[] => {
    const kubernetes = tables.servicesByNamespace
      .rows(namespace)
      .map((row) => serviceKey(namespace, serviceHost(row.name, namespace)));
    const external = tables.serviceEntries.byNamespace
      .rows(namespace)
      .flatMap((row) => row.spec.hosts.map((host) => serviceKey(namespace, host)));
    return [...new Set([...kubernetes, ...external])].toSorted();
  });

  const namespaces = engine.stringQuery("service-namespaces", (): readonly string[] =>
    [...new Set([...tables.servicesByNamespace.names(), ...tables.serviceEntries.byNamespace.names()])].toSorted(),
  );

  const keysOfHost = engine.stringQuery("services-of-host", (host): readonly string[] => {
    const kubernetes = parseServiceHost(host);
    const key = kubernetes && serviceKey(kubernetes.namespace, host);
    const own = key !== undefined && tables.servicesByKey.keys(key).length > 0 ? [key] : [];
    const external = tables.entriesByHost.rows(host).map((row) => serviceKey(row.namespace, host));
    return [...new Set([...own, ...external])].toSorted();
  });

  /** The next host on the way from an alias to what it stands for. */
  const nextOf = engine.stringQuery("next-alias", (host): string | undefined =>
    keysOfHost
      .get(host)
      .map((key) => service.get(key)?.externalName)
      .find((next) => next !== undefined),
  );

  const aliasOf = engine.stringQuery("alias-of", (host): string | undefined => {
    const seen = new Set([host]);
    let target: string | undefined;
    for (let next = nextOf.get(host); next !== undefined; next = nextOf.get(next)) {
      if (seen.has(next)) return undefined;
      seen.add(next);
      target = next;
    }
    return target;
  });

  const aliases = engine.stringQuery("aliases", (host): readonly string[] => {
    const found = new Set<string>();
    const add = (target: string): void => {
      for (const row of tables.servicesByExternalName.rows(target)) {
        const alias = serviceHost(row.name, row.namespace);
        if (found.has(alias) || aliasOf.get(alias) !== host) continue;
        found.add(alias);
        add(alias);
      }
    };
    add(host);
    return [...found].toSorted((a, b) => (namespaced(a) < namespaced(b) ? -1 : 1));
  });

  const keyForHost = engine.query<HostView, string | undefined>({
    name: "service-for-host",
    key: ({ viewer, host }) => `${viewer}|${host}`,
    compute: ({ viewer, host }) => {
      const candidates = keysOfHost
        .get(host)
        .flatMap((key) => service.get(key) ?? [])
        .filter((each) => isExportedTo(each.exportTo, each.namespace, viewer));
      return preferred(candidates, viewer)?.key;
    },
  });

  return { mesh, namespaceLabels: labelsOf, service, keysIn, namespaces, keysOfHost, aliasOf, aliases, keyForHost };
}
