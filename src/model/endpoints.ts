import { ownValue } from "#api/record.ts";
import type { WorkloadEntrySpec } from "#api/istio/workload-entry.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Endpoint, isAddressed, selectEntries, sliceEndpoints, workloadEndpoint } from "./endpoint.ts";
import { labelsMatch } from "./labels.ts";
import type { NetworkQueries } from "./networks.ts";
import { type Config, type NodeRow, type PodRow, rowKey, type SliceEndpoint, type SliceRow } from "./rows.ts";
import { connectionPort, type Service, type ServicePort } from "./service.ts";
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
}

/** The number of a workload's port that a port of a ServiceEntry means. */
function entryPort(workload: Pick<WorkloadEntrySpec, "ports">, port: ServicePort): number {
  return portByName(workload, port.name) ?? (typeof port.targetPort === "number" ? port.targetPort : port.number);
}

/** The number of a workload's port that a port of a Service means; undefined where it names one that there is not. */
function servicePort(entry: WorkloadEntrySpec, { name, targetPort }: ServicePort): number | undefined {
  return typeof targetPort === "number" ? (portByName(entry, name) ?? targetPort) : portByName(entry, targetPort);
}

function portByName({ ports }: Pick<WorkloadEntrySpec, "ports">, name: string): number | undefined {
  const number = ownValue(ports, name) ?? 0;
  return number === 0 ? undefined : number;
}

/** Declares the queries about endpoints. */
export function endpointQueries(
  engine: Engine,
  tables: Tables,
  services: ServiceQueries,
  { networkOf }: NetworkQueries,
): EndpointQueries {
  const nodeOf = (cluster: string, node: string): NodeRow | undefined =>
    node === "" ? undefined : tables.nodes.get(rowKey(cluster, "", node));

  const ofSliceEntry = (row: SliceRow, entry: SliceEndpoint, port: number): readonly Endpoint[] => {
    const { cluster, namespace, service } = row;
    const networkIn = (address: string, labels: StringMap): string => networkOf(cluster, address, labels);
    const pod = entry.pod === "" ? undefined : tables.pods.get(rowKey(cluster, namespace, entry.pod));
    // Without its Pod nobody could say what it is: it waits for that one.
    if (entry.pod !== "" && !pod) return [];
    const node = nodeOf(cluster, pod?.node || entry.node);
    return sliceEndpoints(entry, port, {
      cluster,
      namespace,
      service,
      node,
      networkOf: networkIn,
      ...(pod && { pod }),
    });
  };

  const ofSlice = (row: SliceRow, port: ServicePort): readonly Endpoint[] =>
    row.ports
      .filter((each) => each.name === port.name)
      .flatMap((each) => row.endpoints.flatMap((entry) => ofSliceEntry(row, entry, each.port)));

  const selected = (namespace: string, selector: StringMap): readonly Config<WorkloadEntrySpec>[] =>
    selectEntries(tables.workloadEntries.byNamespace.rows(namespace), selector);

  const podsWith = (namespace: string, selector: StringMap): readonly PodRow[] => {
    const [first] = Object.entries(selector);
    if (!first) return [];
    return tables.podsByLabel.rows(podLabel(namespace, ...first)).filter((pod) => labelsMatch(selector, pod.labels));
  };

  const ofPods = (namespace: string, selector: StringMap, port: ServicePort): readonly Endpoint[] =>
    podsWith(namespace, selector)
      .filter((pod) => pod.ready && pod.ip !== "")
      .flatMap((pod) =>
        sliceEndpoints(
          { addresses: [pod.ip], ready: true, ending: false, node: pod.node, zone: "", hostname: "", pod: pod.name },
          entryPort(pod, port),
          {
            cluster: pod.cluster,
            namespace,
            service: "",
            pod,
            node: nodeOf(pod.cluster, pod.node),
            networkOf: (address, labels) => networkOf(pod.cluster, address, labels),
          },
        ),
      );

  /** WorkloadEntries that a Service selects: where the proxy picks an endpoint, and by their addresses only. */
  const ofWorkloads = (service: Service, selector: StringMap, port: ServicePort): readonly Endpoint[] => {
    if (service.resolution !== "STATIC") return [];
    return selected(service.namespace, selector).flatMap((row) => {
      const number = servicePort(row.spec, port);
      return number === undefined || !isAddressed(row.spec) ? [] : [workloadEndpoint(row.spec, number, row)];
    });
  };

  const ofKubernetes = (service: Service, port: ServicePort): readonly Endpoint[] => {
    if (service.resolution === "ALIAS") return [];
    const selectors = [
      ...new Map(Object.values(service.selectors).map((each) => [JSON.stringify(each), each])).values(),
    ];
    return [
      ...tables.slicesByService.rows(service.key).flatMap((row) => ofSlice(row, port)),
      ...selectors.flatMap((selector) => ofWorkloads(service, selector, port)),
    ];
  };

  const ofEntries = (service: Service, port: ServicePort): readonly Endpoint[] =>
    tables.entriesByKey.rows(service.key).flatMap((row) => {
      const { endpoints = [], workloadSelector, resolution } = row.spec;
      const byDns = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
      if (workloadSelector) {
        const { labels = {} } = workloadSelector;
        const entries = selected(row.namespace, labels)
          // Names and Unix sockets are endpoints where the entry itself has them, or where names are looked up.
          .filter((each) => byDns || isAddressed(each.spec))
          .map((each) => workloadEndpoint(each.spec, entryPort(each.spec, port), each));
        return [...entries, ...ofPods(row.namespace, labels, port)];
      }
      // A service that DNS resolves is its own endpoint where it names none.
      const own = byDns && endpoints.length === 0 ? [{ address: service.host }] : endpoints;
      return own.map((each) => workloadEndpoint(each, entryPort(each, port), row));
    });

  const endpoints = engine.query<ServicePortKey, readonly Endpoint[]>({
    name: "endpoints-of",
    key: ({ service, port }) => `${service}|${port}`,
    compute: ({ service: key, port: number }) => {
      const service = services.service.get(key);
      const port = service && connectionPort(service, number);
      if (!service || !port) return [];
      return service.registry === "Kubernetes" ? ofKubernetes(service, port) : ofEntries(service, port);
    },
  });

  return { endpoints };
}
