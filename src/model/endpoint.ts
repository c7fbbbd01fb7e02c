import { isIP } from "node:net";
import type { WorkloadEntrySpec } from "#api/istio/workload-entry.ts";
import type { StringMap } from "#api/meta.ts";
import { labelsMatch } from "./labels.ts";
import { labelledLocality, type Locality, parseLocality } from "./locality.ts";
import { type Config, networkLabel, type NodeRow, type PodRow, type SliceEndpoint } from "./rows.ts";

/** An address that serves a port of a service. */
export interface Endpoint extends Locality {
  /** An IPv4 address, a Unix socket's path, or a host name where the service is resolved by DNS. */
  readonly address: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  readonly labels: StringMap;
  readonly cluster: string;
  readonly network: string;
  /** Share of the traffic among the endpoints of its locality. */
  readonly weight: number;
  /** An unhealthy endpoint takes no traffic but is counted. */
  readonly healthy: boolean;
  readonly namespace: string;
  readonly workload: string;
  readonly serviceAccount: string;
  /** Whether mutual TLS of the mesh is spoken there, unless a PeerAuthentication is against it. */
  readonly mutualTls: boolean;
  /** Node that it runs on; empty where unknown. */
  readonly node: string;
  /** Its own name below its namespace, as of a Pod of a headless service: `mysql-0.mysql`; empty where it has none. */
  readonly hostname: string;
}

/** Labels by which places are compared. */
export const topology = {
  region: "topology.kubernetes.io/region",
  zone: "topology.kubernetes.io/zone",
  subzone: "topology.istio.io/subzone",
  cluster: "topology.istio.io/cluster",
  network: networkLabel,
  hostname: "kubernetes.io/hostname",
} as const;

/** The label by which a workload says whether its proxy speaks mutual TLS of the mesh; one with an account does unless told. */
const tlsModeLabel = "security.istio.io/tlsMode";

const mutualTls = "istio";

/** Where an endpoint stands, beside what its workload says. */
interface Place extends Locality {
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
    [topology.network]: labels[topology.network] ?? place.network,
    [topology.hostname]: place.node,
  };
  return { ...labels, ...Object.fromEntries(Object.entries(places).filter(([, value]) => value !== "")) };
}

/** What is known of a slice's endpoint beside the slice itself. */
export interface SliceContext {
  readonly cluster: string;
  readonly namespace: string;
  /** Short name of the service. */
  readonly service: string;
  /** The Pod behind the endpoint; absent where it is no Pod. */
  readonly pod?: PodRow;
  readonly node?: NodeRow | undefined;
  readonly networkOf: (address: string, labels: StringMap) => string;
}

/** Where an endpoint stands: as its Pod's labels say, else its node's; the slice itself knows a zone at most. */
function localityOf({ zone }: SliceEndpoint, { pod, node }: SliceContext): Locality {
  const labelled = labelledLocality(pod?.labels ?? {});
  return labelled ?? { region: node?.region ?? "", zone: node?.zone || zone, subzone: node?.subzone ?? "" };
}

/** A Pod's name below its namespace, which it has by the service that it names as its subdomain; empty without. */
function podHostname({ hostname, name, subdomain }: PodRow): string {
  return subdomain === "" ? "" : `${hostname === "" ? name : hostname}.${subdomain}`;
}

/** The endpoints that an entry of an EndpointSlice gives on a port: none once it ends. */
export function sliceEndpoints(entry: SliceEndpoint, port: number, context: SliceContext): readonly Endpoint[] {
  const { pod, cluster, namespace, service } = context;
  if (entry.ending) return [];
  const named = entry.hostname === "" ? "" : `${entry.hostname}.${service}`;
  return entry.addresses.map((address) => {
    const labels = pod?.labels ?? {};
    const network = context.networkOf(address, labels);
    const place = { ...localityOf(entry, context), cluster, network, node: pod?.node || entry.node };
    return {
      address,
      port,
      labels: placedLabels(labels, place),
      ...place,
      weight: 1,
      healthy: entry.ready,
      namespace,
      workload: pod?.workload ?? "",
      serviceAccount: pod?.serviceAccount ?? "",
      mutualTls: labels[tlsModeLabel] === mutualTls,
      hostname: pod ? podHostname(pod) : named,
    };
  });
}

/** Before the path of a Unix socket that a WorkloadEntry has as its address. */
const unixPrefix = "unix://";

/** Whether a hand-written endpoint is one that Kubernetes could have too: one with an IP address. */
export function isAddressed({ address = "" }: WorkloadEntrySpec): boolean {
  return isIP(address) !== 0;
}

/**
 * An endpoint that is written by hand, in a ServiceEntry or as a WorkloadEntry.
 * @param port which a Unix socket has no use for.
 */
export function workloadEndpoint(
  entry: WorkloadEntrySpec,
  port: number,
  owner: { readonly namespace: string; readonly name: string },
): Endpoint {
  const { address = "", labels = {}, locality = "", weight = 0, network = "" } = entry;
  const place: Place = {
    ...(locality === "" ? (labelledLocality(labels) ?? parseLocality("")) : parseLocality(locality)),
    cluster: "",
    network,
    node: "",
  };
  const socket = address.startsWith(unixPrefix);
  return {
    address: socket ? address.slice(unixPrefix.length) : address,
    port: socket ? 0 : port,
    labels: placedLabels(labels, place),
    ...place,
    weight: weight === 0 ? 1 : weight,
    healthy: true,
    namespace: owner.namespace,
    workload: owner.name,
    serviceAccount: entry.serviceAccount ?? "",
    mutualTls: (labels[tlsModeLabel] ?? (entry.serviceAccount ? mutualTls : "")) === mutualTls,
    hostname: "",
  };
}

/** Of WorkloadEntries, those that a selector picks and that have not been found ill. */
export function selectEntries(
  rows: readonly Config<WorkloadEntrySpec>[],
  selector: StringMap,
): readonly Config<WorkloadEntrySpec>[] {
  if (Object.keys(selector).length === 0) return [];
  return rows.filter((row) => row.unhealthy !== true && labelsMatch(selector, row.spec.labels ?? {}));
}
