import type { DiscoveryMode } from "#api/weft/discovery-mode.ts";
import { readable } from "#base/readable.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { ProxyNode, ProxyStatus, TypeState } from "#xds/port.ts";
import type { AgentWord, SidecarReport } from "./identity/pod-places.ts";
import type { ShownFinding } from "./shown-finding.ts";
import type { EndpointVerdict } from "./reports/endpoint-check.ts";
import { endpointStatus, type EndpointStatus, reportedStatus, type ReportedStatus } from "./reports/reported-status.ts";
import type { HeldReport } from "./reports/reports.ts";
import { tableOf, type TableColumn } from "./table.ts";

/** Group of the API that tells of proxies. */
export const proxyGroup = "status.mesh.weft.dev";
/** Its version. */
export const proxyVersion = "v1alpha1";

/** Envoy's own names of the services that serve each type. */
const shortTypes: Readonly<Record<string, string>> = {
  [typeUrls.cluster]: "CDS",
  [typeUrls.endpoints]: "EDS",
  [typeUrls.listener]: "LDS",
  [typeUrls.route]: "RDS",
  [typeUrls.secret]: "SDS",
  [typeUrls.virtualHost]: "VHDS",
  [typeUrls.extension]: "ECDS",
  [typeUrls.nameTable]: "NDS",
  [typeUrls.bootstrap]: "Bootstrap",
};

/** How Envoy calls the service that serves a type. */
export function shortType(url: string): string {
  return shortTypes[url] ?? url;
}

/** A proxy as an API object: one that is connected, or one that its agent tells of. */
export interface ProxyObject {
  readonly apiVersion: string;
  readonly kind: "Proxy";
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly creationTimestamp: string;
    readonly labels?: object;
  };
  readonly spec: {
    readonly pod: string;
    readonly cluster: string;
    readonly address: string;
    /** `sidecar` or `router`, as Istio calls them. */
    readonly type: string;
    readonly envoyVersion: string;
    /** What the proxy said of itself, from which its configuration is chosen. */
    readonly node: Pick<ProxyNode, "id" | "metadata" | "locality">;
  };
  readonly status: ReportedStatus & {
    /** The revision of the control plane that tells of it; an earlier version of Weft does not say. */
    readonly revision?: string;
    /** Absent where it is not. */
    readonly connectedAt?: string;
    readonly types: Readonly<Record<string, TypeObject>>;
    /** What it did lately that it should not (`ProxyFinding`); absent for most. */
    readonly findings?: readonly FindingMember[];
    /** What the proxy holds, and why where that is more than it should be. */
    readonly discovery?: HeldBy;
    /** How its certificate stands; absent where it gets none. */
    readonly certificate?: AgentWord;
    /** Which connections of its Pod are older than it and go past it, in words; absent where there are none. */
    readonly outside?: string;
    /** By what connections are led to it: `IPTables` or `EBPF`; absent where no agent of a node says. */
    readonly hijack?: AgentWord;
    /** What came of comparing the endpoints that Envoy holds with those that it is to hold. */
    readonly endpoints?: EndpointStatus;
  };
}

/** Milliseconds since the epoch as RFC 3339. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}

/** Where a proxy stands with one type of resource. */
export interface TypeObject {
  readonly state: TypeState["state"];
  /** Version last acknowledged. */
  readonly version: string;
  /** RFC 3339. */
  readonly since: string;
  /** Why the proxy refuses the newest, when it does, and what it refuses. */
  readonly message?: string;
  readonly refused?: readonly string[];
  /** How many resources of it the proxy is to hold, and their bytes. */
  readonly resources?: number;
  readonly bytes?: number;
}

function typeObject({ state, version, since, refused, size }: TypeState): TypeObject {
  return {
    state,
    version,
    since: timestamp(since),
    ...(refused && { message: refused.message, refused: refused.resources }),
    ...size,
  };
}

/** The parts of a node id, `type~address~pod.namespace~domain`. */
export function nodeParts(id: string): {
  readonly type: string;
  readonly address: string;
  readonly pod: string;
  readonly namespace: string;
} {
  const [type = "", address = "", name = ""] = id.split("~");
  const dot = name.lastIndexOf(".");
  return { type, address, pod: name.slice(0, dot), namespace: name.slice(dot + 1) };
}

/** What a proxy did, as its object tells it. */
interface FindingMember {
  readonly code: string;
  readonly message: string;
  readonly since: string;
  readonly last: string;
  readonly count: number;
}

function findingMember({ code, what, since, last, count }: ShownFinding): FindingMember {
  return { code, message: readable(what), since: timestamp(since), last: timestamp(last), count };
}

/** The member cluster that a proxy says it is in; empty where it says none. */
export function clusterOf({ metadata }: ProxyNode): string {
  const { CLUSTER_ID: id } = metadata;
  return typeof id === "string" ? id : "";
}

/** A proxy as people name it: `page-7d4b9.shop (east)`. */
export function proxyLabel(node: ProxyNode): string {
  const { pod, namespace } = nodeParts(node.id);
  return `${pod}.${namespace} (${clusterOf(node)})`;
}

/** Tells what is said of a Pod's proxy. */
export type SidecarOf = (cluster: string, namespace: string, pod: string) => SidecarReport | undefined;

/** What a proxy holds, as translation tells it. */
export interface HeldBy {
  readonly mode: DiscoveryMode;
  readonly reason?: string;
}

/** What is known of a connected proxy beside its stream. */
export interface ProxyKnowledge {
  readonly held: HeldBy;
  /** What stands against it. */
  readonly findings: readonly ShownFinding[];
  /** What its Pod says of it. */
  readonly said: SidecarReport;
  /** What its agent says of it. */
  readonly report: HeldReport | undefined;
  /** What came of comparing its endpoints. */
  readonly endpoints: EndpointVerdict | undefined;
}

/** What is said of a proxy on its Pod. */
function podStatus({ certificate, outside, hijack }: SidecarReport): Partial<ProxyObject["status"]> {
  return { ...(certificate && { certificate }), ...(outside !== undefined && { outside }), ...(hijack && { hijack }) };
}

/** The members that all proxies have; a name is the Pod's with the cluster's, since Pods of two clusters may have one name. */
function headOf(
  id: string,
  cluster: string,
  since: number,
): {
  readonly head: Pick<ProxyObject, "apiVersion" | "kind" | "metadata">;
  readonly spec: Omit<ProxyObject["spec"], "envoyVersion" | "node">;
} {
  const { type, address, pod, namespace } = nodeParts(id);
  const metadata = { name: `${pod}.${cluster}`, namespace, creationTimestamp: timestamp(since) };
  return {
    head: { apiVersion: `${proxyGroup}/${proxyVersion}`, kind: "Proxy", metadata },
    spec: { pod, cluster, address, type },
  };
}

/** A connected proxy as an object. */
export function proxyObject(
  proxy: ProxyStatus,
  { held, findings, said, report, endpoints }: ProxyKnowledge,
): ProxyObject {
  const { LABELS: labels } = proxy.node.metadata;
  const { head, spec } = headOf(proxy.node.id, clusterOf(proxy.node), proxy.connectedAt);
  const types = Object.entries(proxy.types).filter(([, state]) => state.state !== "NEVER");
  const { mode, reason } = held;
  return {
    ...head,
    metadata: { ...head.metadata, ...(typeof labels === "object" && labels !== null && { labels }) },
    spec: {
      ...spec,
      envoyVersion: proxy.node.version,
      node: { id: proxy.node.id, metadata: proxy.node.metadata, locality: proxy.node.locality },
    },
    status: {
      ...reportedStatus(report, Object.fromEntries(types), said.container),
      connectedAt: timestamp(proxy.connectedAt),
      types: Object.fromEntries(types.map(([url, state]) => [shortType(url), typeObject(state)])),
      ...(findings.length > 0 && { findings: findings.map(findingMember) }),
      discovery: { mode, ...(reason !== undefined && { reason }) },
      ...podStatus(said),
      ...(report && endpoints && { endpoints: endpointStatus(report, endpoints) }),
    },
  };
}

/** A proxy that is not connected as an object, by its agent's word. */
export function reportedObject(report: HeldReport, said: SidecarReport): ProxyObject {
  const { id, cluster, namespace } = report.node;
  const { head, spec } = headOf(id, cluster, report.since);
  const { labels } = said;
  return {
    ...head,
    metadata: { ...head.metadata, ...(labels && { labels }) },
    spec: {
      ...spec,
      envoyVersion: readable(report.report.envoy ?? ""),
      node: {
        id,
        metadata: { CLUSTER_ID: cluster, NAMESPACE: namespace },
        locality: { region: "", zone: "", subzone: "" },
      },
    },
    status: { ...reportedStatus(report, undefined, said.container), types: {}, ...podStatus(said) },
  };
}

const columns: readonly TableColumn<ProxyObject>[] = [
  { name: "Name", format: "name", description: "Pod and cluster.", cell: ({ metadata }) => metadata.name },
  { name: "Cluster", description: "The member cluster.", cell: ({ spec }) => spec.cluster },
  { name: "Type", description: "Sidecar or router.", cell: ({ spec }) => spec.type },
  { name: "Phase", description: "Where it stands.", cell: ({ status }) => status.phase },
  { name: "Synced", description: "Types of resources that are in sync.", cell: syncedCell },
  {
    name: "Discovery",
    description: "All is held, or what is called.",
    cell: ({ status }) => status.discovery?.mode ?? "",
  },
  { name: "Envoy", description: "Version of Envoy.", cell: ({ spec }) => spec.envoyVersion },
  {
    name: "Restarts",
    description: "Starts of Envoy after the first.",
    cell: ({ status }) => String(status.process?.restarts ?? ""),
  },
  {
    name: "Age",
    type: "date",
    description: "Since when it is connected, or told of.",
    cell: ({ metadata }, age) => age(metadata.creationTimestamp),
  },
  {
    name: "Reason",
    description: "Why all is held.",
    wide: true,
    cell: ({ status }) => status.discovery?.reason ?? "",
  },
  {
    name: "Hijack",
    description: "By what connections are led to it.",
    wide: true,
    cell: ({ status }) => status.hijack?.state ?? "",
  },
  { name: "Bytes", description: "Of configuration that it is to hold.", wide: true, cell: sizeCell },
  { name: "Address", description: "The Pod's address.", wide: true, cell: ({ spec }) => spec.address },
  {
    name: "Revision",
    description: "The revision of the control plane.",
    wide: true,
    cell: ({ status }) => status.revision ?? "",
  },
];

function sizeCell({ status }: ProxyObject): string {
  const sizes = Object.values(status.types).flatMap(({ bytes }) => bytes ?? []);
  return sizes.length === 0 ? "" : String(sizes.reduce((sum, bytes) => sum + bytes, 0));
}

function syncedCell({ status }: ProxyObject): string {
  const states = Object.values(status.types);
  return `${states.filter((one) => one.state === "SYNCED").length}/${states.length}`;
}

/** Proxies as a `meta.k8s.io/v1.Table`. */
export function proxyTable(proxies: readonly ProxyObject[], age: (since: string) => string, whole = false): object {
  return tableOf(proxies, columns, age, whole);
}
