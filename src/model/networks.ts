import { cidrContains } from "#base/cidr.ts";
import { ownValue } from "#api/record.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { networkLabel, rowKey, type ServiceRow } from "./rows.ts";
import { parseServiceHost } from "./hosts.ts";
import { only, type ServiceQueries } from "./services.ts";
import { serviceKey, type Tables } from "./tables.ts";

/** The port of gateways between networks unless they say another. */
const gatewayPort = 15_443;

/** Questions about networks. */
export interface NetworkQueries {
  /**
   * The network of a workload: by its labels, else that of its cluster's root namespace, else as the mesh's networks have its
   * cluster or its address, else its cluster's own. Empty where none is told.
   */
  readonly networkOf: (cluster: string, address: string, labels: StringMap) => string;
  /** Networks for which a gateway is known, sorted. */
  readonly gatewayed: Query<string, readonly string[]>;
}

interface Range {
  readonly network: string;
  readonly cidr: string;
}

/** Whether a Service has an address for other networks. */
function isGateway({ externalAddresses }: ServiceRow): boolean {
  return externalAddresses.length > 0;
}

/** Whether a labelled Service has the port of gateways. */
function listens({ gatewayPort: told, spec }: ServiceRow): boolean {
  const port = /^\d+$/.test(told) ? Number(told) : gatewayPort;
  return (spec.ports ?? []).some((each) => each.port === port);
}

/** Declares the queries about networks. */
export function networkQueries(engine: Engine, tables: Tables, services: ServiceQueries): NetworkQueries {
  const meshNetworks = () => Object.entries(services.mesh.get(only).meshNetworks);

  /** Ranges of addresses, the widest first: it wins, as in Istio. */
  const ranges = engine.stringQuery("network-ranges", (): readonly Range[] =>
    meshNetworks()
      .flatMap(([network, { endpoints = [] }]) =>
        endpoints.flatMap(({ fromCidr: cidr }) => (cidr === undefined ? [] : [{ network, cidr }])),
      )
      .toSorted((a, b) => Number(a.cidr.split("/")[1]) - Number(b.cidr.split("/")[1])),
  );

  const ofRegistry = engine.stringQuery("network-of-registry", (cluster): string => {
    const named = meshNetworks().find(([, { endpoints = [] }]) =>
      endpoints.some(({ fromRegistry }) => fromRegistry === cluster),
    );
    return named?.[0] ?? "";
  });

  const ofNamespace = engine.stringQuery("network-of-cluster", (cluster): string => {
    const { rootNamespace } = services.mesh.get(only);
    return tables.namespaces.get(rowKey(cluster, "", rootNamespace))?.network ?? "";
  });

  const byAddress = (address: string): string =>
    ranges.get(only).find(({ cidr }) => cidrContains(cidr, address))?.network ?? "";

  /** Whether a Service of one of the clusters is reached from elsewhere. */
  const isReached = (name: string, clusters: readonly string[]): boolean => {
    const parts = parseServiceHost(name);
    const rows = parts ? tables.servicesByKey.rows(serviceKey(parts.namespace, name)) : [];
    return rows.some((row) => clusters.includes(row.cluster) && isGateway(row));
  };

  const gatewayed = engine.stringQuery("networks-with-gateways", (): readonly string[] => {
    const told = meshNetworks().filter(([, { endpoints = [], gateways = [] }]) => {
      const clusters = endpoints.flatMap(({ fromRegistry }) => fromRegistry ?? []);
      return gateways.some(
        ({ address = "", registryServiceName = "" }) => address !== "" || isReached(registryServiceName, clusters),
      );
    });
    const labelled = tables.networkGateways
      .names()
      .filter((network) => tables.networkGateways.rows(network).some((row) => isGateway(row) && listens(row)));
    return [...new Set([...told.map(([network]) => network), ...labelled])].toSorted();
  });

  return {
    networkOf: (cluster, address, labels) =>
      ownValue(labels, networkLabel) ||
      ofNamespace.get(cluster) ||
      ofRegistry.get(cluster) ||
      byAddress(address) ||
      (tables.clusters.get(cluster)?.network ?? ""),
    gatewayed,
  };
}
