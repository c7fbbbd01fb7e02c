import { isIP } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { Engine } from "#incremental/engine.ts";
import { type Client, clientKey } from "#model/client.ts";
import type { Endpoint } from "#model/endpoint.ts";
import type { Model } from "#model/model.ts";
import { addressesIn, noAddress, type Service } from "#model/service.ts";
import {
  type NameTable_NameInfo,
  NameTable_NameInfoSchema,
  NameTableSchema,
} from "#proto/gen/istio/networking/nds/v1/nds_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";

/** The name under which the one table of a proxy is served. */
export const nameTableName = "name-table";

/** From where names are asked for. */
interface NamePlace {
  readonly cluster: string;
  readonly network: string;
}

/** Who asks for names, and from where. */
interface NameTableView extends NamePlace {
  readonly client: Client;
}

/** Name tables as queries. */
export interface NameTableQueries {
  readonly table: (view: NameTableView) => EncodedResource;
}

interface Entry {
  readonly name: string;
  readonly ips: readonly string[];
  readonly registry: Service["registry"];
  readonly shortname: string;
  readonly namespace: string;
}

function entry(service: Service, ips: readonly string[]): readonly Entry[] {
  if (ips.length === 0) return [];
  const { host: name, registry } = service;
  const kubernetes = registry === "Kubernetes";
  return [
    { name, ips, registry, shortname: kubernetes ? service.name : "", namespace: kubernetes ? service.namespace : "" },
  ];
}

/** Networks that nobody has named are one. */
function sameNetwork(a: string, b: string): boolean {
  return a === b || a === "" || b === "";
}

/**
 * Names of a headless service: its own, which means its endpoints in the caller's network, and one for each Pod that has a
 * name below a service, where those of the caller's cluster win over others.
 */
function headlessEntries(service: Service, endpoints: readonly Endpoint[], view: NamePlace): readonly Entry[] {
  const reachable = endpoints.filter(
    ({ healthy, network, address }) =>
      (healthy || service.publishNotReady) && isIP(address) === 4 && sameNetwork(network, view.network),
  );
  const below = service.host.slice(service.host.indexOf("."));
  const named = reachable.filter(({ hostname }) => hostname !== "");
  const each = [...Map.groupBy(named, ({ hostname }) => hostname)].map(([hostname, all]) => {
    const own = all.filter(({ cluster }) => cluster === view.cluster);
    return {
      name: `${hostname}${below}`,
      ips: [...new Set((own.length > 0 ? own : all).map(({ address }) => address))],
      registry: service.registry,
      shortname: hostname,
      namespace: service.namespace,
    };
  });
  return [...entry(service, [...new Set(reachable.map(({ address }) => address))]), ...each];
}

/** The later of two entries for a name only adds to it, unless it is a Kubernetes service, which wins. */
function merge(entries: readonly Entry[]): Record<string, NameTable_NameInfo> {
  const table = new Map<string, NameTable_NameInfo>();
  for (const { name, ...info } of entries) {
    const before = table.get(name);
    if (!before || (info.registry === "Kubernetes" && before.registry !== "Kubernetes")) {
      table.set(name, create(NameTable_NameInfoSchema, { ...info, ips: [...info.ips] }));
    } else if (before.registry !== "Kubernetes") before.ips.push(...info.ips);
  }
  return Object.fromEntries(table);
}

/** Declares the queries about names. */
export function nameTableQueries(engine: Engine, model: Model): NameTableQueries {
  const endpointsOf = (service: Service): readonly Endpoint[] =>
    service.ports.flatMap((port) => model.endpoints.endpoints.get({ service: service.key, port: port.number }));

  const entries = engine.query<NamePlace & { readonly service: string }, readonly Entry[]>({
    name: "name-entries",
    key: ({ service, cluster, network }) => `${service}|${cluster}|${network}`,
    compute: ({ service: key, cluster, network }) => {
      const service = model.services.service.get(key);
      if (!service) return [];
      if (service.resolution === "ALIAS") return entry(service, aliasAddresses(service, { cluster, network }));
      const addresses = addressesIn(service, cluster);
      if (!addresses.includes(noAddress))
        return entry(
          service,
          addresses.filter((address) => isIP(address) === 4),
        );
      if (service.resolution !== "NONE") return [];
      return headlessEntries(service, endpointsOf(service), { cluster, network });
    },
  });

  /** The addresses of what a service stands for, as a CNAME would lead to them; none where that is outside of the mesh. */
  const aliasAddresses = ({ host: alias, namespace }: Service, from: NamePlace): readonly string[] => {
    const host = model.services.aliasOf.get(alias);
    const service = host === undefined ? undefined : model.services.keyForHost.get({ viewer: namespace, host });
    const found = service === undefined ? [] : entries.get({ service, ...from });
    return found.find(({ name }) => name === host)?.ips ?? [];
  };

  const table = engine.query<NameTableView, EncodedResource>({
    name: "name-table",
    key: ({ client, cluster, network }) => `${clientKey(client)}|${cluster}|${network}`,
    equal: sameResource,
    compute: ({ client, cluster, network }) => {
      const all = model.clients.services.get(client).flatMap((service) => entries.get({ service, cluster, network }));
      return encodeResource(NameTableSchema, create(NameTableSchema, { table: merge(all) }), nameTableName);
    },
  });

  return { table: (view) => table.get(view) };
}
