import { ownValue } from "#api/record.ts";
import type { WorkloadEntrySpec } from "#api/istio/workload-entry.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Endpoint, selectEntries, sliceEndpoints, workloadEndpoint } from "./endpoint.ts";
import { labelsMatch } from "./labels.ts";
import { type PodRow, rowKey, type SliceRow } from "./rows.ts";
import type { Service, ServicePort } from "./service.ts";
import type { ServiceQueries } from "./services.ts";
import { podLabel, type Tables } from "./tables.ts";

/** A port of a service. */
interface ServicePortKey {
  /** The service's key. */
  readonly service: string;
  readonly port: number;
}

/** Questions about endpoints. */
export interface EndpointQueries {
  /** Every endpoint of a service's port, of all clusters, in a stable order. */
  readonly endpoints: Query<ServicePortKey, readonly Endpoint[]>;
  /** The network of a cluster. */
  readonly network: Query<string, string>;
}

/** The numbers of a workload's ports that a service port means. */
function workloadPort(entry: WorkloadEntrySpec, port: ServicePort): number {
  const named = ownValue(entry.ports, port.name);
  if (named !== undefined && named !== 0) return named;
  return typeof port.targetPort === "number" ? port.targetPort : port.number;
}

/** Declares the queries about endpoints. */
export function endpointQueries(engine: Engine, tables: Tables, services: ServiceQueries): EndpointQueries {
  const network = engine.stringQuery("network", (cluster) => tables.clusters.get(cluster)?.network ?? "");

  const ofSlice = (row: SliceRow, service: Service, port: ServicePort): readonly Endpoint[] =>
    row.ports
      .filter((each) => each.name === port.name)
      .flatMap((each) =>
        row.endpoints.flatMap((entry) =>
          sliceEndpoints(entry, each.port, {
            cluster: row.cluster,
            network: network.get(row.cluster),
            namespace: row.namespace,
            service: row.service,
            pod: entry.pod === "" ? undefined : tables.pods.get(rowKey(row.cluster, row.namespace, entry.pod)),
            node: entry.node === "" ? undefined : tables.nodes.get(rowKey(row.cluster, "", entry.node)),
            publishNotReady: service.publishNotReady,
          }),
        ),
      );

  const ofWorkloadEntries = (namespace: string, selector: StringMap, port: ServicePort): readonly Endpoint[] =>
    selectEntries(tables.workloadEntries.byNamespace.rows(namespace), selector).map((row) =>
      workloadEndpoint(row.spec, workloadPort(row.spec, port), { namespace: row.namespace, name: row.name }),
    );

  const podsWith = (namespace: string, selector: StringMap): readonly PodRow[] => {
    const [first] = Object.entries(selector);
    if (!first) return [];
    return tables.podsByLabel.rows(podLabel(namespace, ...first)).filter((pod) => labelsMatch(selector, pod.labels));
  };

  const ofPods = (namespace: string, selector: StringMap, port: ServicePort): readonly Endpoint[] =>
    podsWith(namespace, selector)
      .filter((pod) => pod.ip !== "")
      .flatMap((pod) =>
        sliceEndpoints(
          {
            addresses: [pod.ip],
            ready: true,
            serving: true,
            terminating: false,
            node: pod.node,
            zone: "",
            hostname: "",
            pod: pod.name,
          },
          typeof port.targetPort === "number" ? port.targetPort : port.number,
          {
            cluster: pod.cluster,
            network: network.get(pod.cluster),
            namespace,
            service: "",
            pod,
            node: tables.nodes.get(rowKey(pod.cluster, "", pod.node)),
            publishNotReady: false,
          },
        ),
      );

  const ofKubernetes = (service: Service, port: ServicePort): readonly Endpoint[] => {
    if (service.resolution === "ALIAS") return [];
    const selectors = [
      ...new Map(Object.values(service.selectors).map((each) => [JSON.stringify(each), each])).values(),
    ];
    return [
      ...tables.slicesByService.rows(service.key).flatMap((row) => ofSlice(row, service, port)),
      ...selectors.flatMap((selector) => ofWorkloadEntries(service.namespace, selector, port)),
    ];
  };

  const ofEntries = (service: Service, port: ServicePort): readonly Endpoint[] =>
    tables.entriesByKey.rows(service.key).flatMap((row) => {
      const { endpoints = [], workloadSelector, resolution } = row.spec;
      const selector = workloadSelector?.labels ?? {};
      const written = endpoints.map((each) => workloadEndpoint(each, workloadPort(each, port), row));
      const selected = [
        ...ofWorkloadEntries(row.namespace, selector, port),
        ...(resolution === "STATIC" || resolution === "NONE" ? ofPods(row.namespace, selector, port) : []),
      ];
      const byDns = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
      // A service that DNS resolves is its own endpoint where it names none.
      if (byDns && written.length + selected.length === 0 && workloadSelector === undefined) {
        return [workloadEndpoint({ address: service.host }, workloadPort({}, port), row)];
      }
      return [...written, ...selected];
    });

  const endpoints = engine.query<ServicePortKey, readonly Endpoint[]>({
    name: "endpoints-of",
    key: ({ service, port }) => `${service}|${port}`,
    compute: ({ service: key, port: number }) => {
      const service = services.service.get(key);
      const port = service?.ports.find((each) => each.number === number);
      if (!service || !port) return [];
      return service.registry === "Kubernetes" ? ofKubernetes(service, port) : ofEntries(service, port);
    },
  });

  return { endpoints, network };
}
