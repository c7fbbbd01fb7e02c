import { isIP } from "node:net";
import { cidrContains } from "#base/cidr.ts";
import { canonical } from "#base/canonical.ts";
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

/** Where a network is entered from others, by TLS of the mesh that the server name routes. */
export interface NetworkGateway {
  readonly network: string;
  /** The cluster that it is in; empty where none is told. */
  readonly cluster: string;
  /** An IP address. */
  readonly address: string;
  readonly port: number;
}

/** The gateways of all networks, and how endpoints are shared out over them. */
export interface NetworkGateways {
  /** By network, sorted by address and port. */
  readonly of: Readonly<Record<string, readonly NetworkGateway[]>>;
  /**
   * By what the weights of endpoints are multiplied so that each can be shared out evenly: the least common multiple of how
   * many gateways networks have, in all and in each cluster; 1 without any.
   */
  readonly scale: number;
}

/** Questions about networks. */
export interface NetworkQueries {
  /**
   * The network of a workload: by its labels, else that of its cluster's root namespace, else as the mesh's networks have its
   * cluster or its address, else its cluster's own. Empty where none is told.
   */
  readonly networkOf: (cluster: string, address: string, labels: StringMap) => string;
  /** Where networks are entered. */
  readonly gateways: Query<string, NetworkGateways>;
}

interface Range {
  readonly network: string;
  readonly cidr: string;
}

/** The port by which a labelled Service is a gateway; undefined for one that it does not have. */
function labelledPort({ gatewayPort: told, spec }: ServiceRow): number | undefined {
  const port = /^\d+$/.test(told) ? Number(told) : gatewayPort;
  return (spec.ports ?? []).some((each) => each.port === port) ? port : undefined;
}

function gatewaysAt(row: ServiceRow, network: string, port: number): readonly NetworkGateway[] {
  const { cluster } = row;
  return row.externalAddresses.map((address) => ({ network, cluster, address, port }));
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

function byAddress(a: NetworkGateway, b: NetworkGateway): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port || (a.cluster < b.cluster ? -1 : Number(a.cluster > b.cluster));
}

/** Gateways by their networks, each once; those that have only a name are as good as not there. */
function gathered(all: readonly NetworkGateway[]): NetworkGateways {
  const addressed = all.filter(({ address }) => isIP(address) !== 0);
  const distinct = [...new Map(addressed.map((each) => [canonical(each), each])).values()].toSorted(byAddress);
  const of = Object.fromEntries(Map.groupBy(distinct, ({ network }) => network));
  const ofClusters = Object.values(of).flatMap((gateways) => [
    ...Map.groupBy(gateways, ({ cluster }) => cluster).values(),
  ]);
  const counts = [...Object.values(of), ...ofClusters].map(({ length }) => length);
  return { of, scale: counts.reduce(leastCommonMultiple, 1) };
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

  const ofAddress = (address: string): string =>
    ranges.get(only).find(({ cidr }) => cidrContains(cidr, address))?.network ?? "";

  /** The gateways that a Service of some clusters is, where the mesh's networks name it. One that says its network by a label is of that. */
  const named = (
    network: string,
    name: string,
    port: number,
    clusters: readonly string[],
  ): readonly NetworkGateway[] => {
    const parts = parseServiceHost(name);
    const rows = parts ? tables.servicesByKey.rows(serviceKey(parts.namespace, name)) : [];
    return rows
      .filter(({ cluster, gatewayOf }) => gatewayOf === "" && clusters.includes(cluster))
      .flatMap((row) => gatewaysAt(row, network, port));
  };

  const gateways = engine.stringQuery("network-gateways", (): NetworkGateways => {
    const told = meshNetworks().flatMap(([network, { endpoints = [], gateways: all = [] }]) => {
      const clusters = endpoints.flatMap(({ fromRegistry }) => fromRegistry ?? []);
      return all.flatMap(({ address = "", registryServiceName = "", port = 0 }) =>
        address === ""
          ? named(network, registryServiceName, port, clusters)
          : [{ network, cluster: "", address, port }],
      );
    });
    const labelled = tables.networkGateways.names().flatMap((network) =>
      tables.networkGateways.rows(network).flatMap((row) => {
        const port = labelledPort(row);
        return port === undefined ? [] : gatewaysAt(row, network, port);
      }),
    );
    return gathered([...told, ...labelled]);
  });

  return {
    networkOf: (cluster, address, labels) =>
      ownValue(labels, networkLabel) ||
      ofNamespace.get(cluster) ||
      ofRegistry.get(cluster) ||
      ofAddress(address) ||
      (tables.clusters.get(cluster)?.network ?? ""),
    gateways,
  };
}
