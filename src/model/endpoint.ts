import type { WorkloadEntrySpec } from "#api/istio/workload-entry.ts";
import type { StringMap } from "#api/meta.ts";
import { labelsMatch } from "./labels.ts";
import type { Config, NodeRow, PodRow, SliceEndpoint } from "./rows.ts";

/** An address that serves a port of a service. */
export interface Endpoint {
  /** An IPv4 address, or a host name where the service is resolved by DNS. */
  readonly address: string;
  readonly port: number;
  readonly labels: StringMap;
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
  readonly cluster: string;
  readonly network: string;
  /** Share of the traffic among the endpoints of its locality. */
  readonly weight: number;
  /** An unhealthy endpoint takes no traffic but is counted. */
  readonly healthy: boolean;
  readonly namespace: string;
  readonly workload: string;
  readonly serviceAccount: string;
  /** Node that it runs on; empty where unknown. */
  readonly node: string;
  /** Its own name below a headless service; empty where it has none. */
  readonly hostname: string;
}

const topology = {
  region: "topology.kubernetes.io/region",
  zone: "topology.kubernetes.io/zone",
  subzone: "topology.istio.io/subzone",
  cluster: "topology.istio.io/cluster",
  network: "topology.istio.io/network",
  hostname: "kubernetes.io/hostname",
} as const;

/** Where an endpoint stands, beside what its workload says. */
interface Place {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
  readonly cluster: string;
  readonly network: string;
  readonly node: string;
}

/** A workload's labels and those that its place adds, by which locality failover compares. */
export function placedLabels(labels: StringMap, place: Place): StringMap {
  const places = {
    [topology.region]: place.region,
    [topology.zone]: place.zone,
    [topology.subzone]: place.subzone,
    [topology.cluster]: place.cluster,
    [topology.network]: place.network,
    [topology.hostname]: place.node,
  };
  return { ...labels, ...Object.fromEntries(Object.entries(places).filter(([, value]) => value !== "")) };
}

/** What is known of a slice's endpoint beside the slice itself. */
export interface SliceContext {
  readonly cluster: string;
  readonly network: string;
  readonly namespace: string;
  /** Short name of the service. */
  readonly service: string;
  readonly pod: PodRow | undefined;
  readonly node: NodeRow | undefined;
  readonly publishNotReady: boolean;
}

/** The endpoints that an entry of an EndpointSlice gives on a port: none once it terminates. */
export function sliceEndpoints(entry: SliceEndpoint, port: number, context: SliceContext): readonly Endpoint[] {
  const { pod, node, cluster, network, namespace, publishNotReady } = context;
  if (entry.terminating && !publishNotReady) return [];
  const place: Place = {
    region: node?.region ?? "",
    zone: node?.zone === undefined || node.zone === "" ? entry.zone : node.zone,
    subzone: node?.subzone ?? "",
    cluster,
    network: pod?.labels[topology.network] ?? network,
    node: entry.node,
  };
  // A Pod's own name counts below the service that it names as its subdomain only.
  const named = pod !== undefined && pod.hostname !== "" && pod.subdomain === context.service;
  const hostname = named ? pod.hostname : entry.hostname;
  return entry.addresses.map((address) => ({
    address,
    port,
    labels: placedLabels(pod?.labels ?? {}, place),
    ...place,
    weight: 1,
    healthy: entry.ready || publishNotReady,
    namespace,
    workload: pod?.workload ?? "",
    serviceAccount: pod?.serviceAccount ?? "",
    hostname,
  }));
}

/** The three parts of a locality such as `region/zone/subzone`. */
function parseLocality(text: string): { region: string; zone: string; subzone: string } {
  const [region = "", zone = "", ...rest] = text.split("/");
  return { region, zone, subzone: rest.join("/") };
}

/** An endpoint that is written by hand, in a ServiceEntry or as a WorkloadEntry. */
export function workloadEndpoint(
  entry: WorkloadEntrySpec,
  port: number,
  owner: { readonly namespace: string; readonly name: string },
): Endpoint {
  const place: Place = {
    ...parseLocality(entry.locality ?? ""),
    cluster: "",
    network: entry.network ?? "",
    node: "",
  };
  return {
    address: entry.address ?? "",
    port,
    labels: placedLabels(entry.labels ?? {}, place),
    ...place,
    weight: entry.weight === undefined || entry.weight === 0 ? 1 : entry.weight,
    healthy: true,
    namespace: owner.namespace,
    workload: owner.name,
    serviceAccount: entry.serviceAccount ?? "",
    hostname: "",
  };
}

/** Of WorkloadEntries, those that a selector picks. */
export function selectEntries(
  rows: readonly Config<WorkloadEntrySpec>[],
  selector: StringMap,
): readonly Config<WorkloadEntrySpec>[] {
  if (Object.keys(selector).length === 0) return [];
  return rows.filter((row) => labelsMatch(selector, row.spec.labels ?? {}));
}
