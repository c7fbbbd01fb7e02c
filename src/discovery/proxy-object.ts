import { typeUrls } from "#proto/encoded.ts";
import type { ProxyCounts } from "#status/mesh.ts";
import type { ProxyNode, ProxyStatus, TypeState } from "#xds/port.ts";

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

/** A connected proxy as an API object. */
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
  readonly status: { readonly connectedAt: string; readonly types: Readonly<Record<string, object>> };
}

function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}

function typeObject({ state, version, since, refused }: TypeState): object {
  return {
    state,
    version,
    since: timestamp(since),
    ...(refused && { message: refused.message, refused: refused.resources }),
  };
}

/** The parts of a node id, `type~address~pod.namespace~domain`. */
function nodeParts(id: string): {
  readonly type: string;
  readonly address: string;
  readonly pod: string;
  readonly namespace: string;
} {
  const [type = "", address = "", name = ""] = id.split("~");
  const dot = name.lastIndexOf(".");
  return { type, address, pod: name.slice(0, dot), namespace: name.slice(dot + 1) };
}

function clusterOf({ metadata }: ProxyNode): string {
  const { CLUSTER_ID: id } = metadata;
  return typeof id === "string" ? id : "";
}

/** A proxy as people name it: `page-7d4b9.shop (east)`. */
export function proxyLabel(node: ProxyNode): string {
  const { pod, namespace } = nodeParts(node.id);
  return `${pod}.${namespace} (${clusterOf(node)})`;
}

/** A proxy as an object; its name is its Pod's with the cluster's, since Pods of two clusters may have one name. */
export function proxyObject(proxy: ProxyStatus): ProxyObject {
  const { type, address, pod, namespace } = nodeParts(proxy.node.id);
  const { LABELS: labels } = proxy.node.metadata;
  const cluster = clusterOf(proxy.node);
  const types = Object.entries(proxy.types).filter(([, state]) => state.state !== "NEVER");
  return {
    apiVersion: `${proxyGroup}/${proxyVersion}`,
    kind: "Proxy",
    metadata: {
      name: `${pod}.${cluster}`,
      namespace,
      creationTimestamp: timestamp(proxy.connectedAt),
      ...(typeof labels === "object" && labels !== null && { labels }),
    },
    spec: {
      pod,
      cluster,
      address,
      type,
      envoyVersion: proxy.node.version,
      node: { id: proxy.node.id, metadata: proxy.node.metadata, locality: proxy.node.locality },
    },
    status: {
      connectedAt: timestamp(proxy.connectedAt),
      types: Object.fromEntries(types.map(([url, state]) => [shortTypes[url] ?? url, typeObject(state)])),
    },
  };
}

/** How proxies stand, in numbers. */
export function proxyCounts(proxies: readonly ProxyStatus[]): ProxyCounts {
  const states = proxies.map(({ types }) => Object.values(types).map(({ state }) => state));
  return {
    connected: states.length,
    inSync: states.filter((types) => types.every((state) => state === "SYNCED" || state === "NEVER")).length,
    refusing: states.filter((types) => types.includes("NACKED")).length,
  };
}

const columns = [
  { name: "Name", type: "string", format: "name", description: "Pod and cluster.", priority: 0 },
  { name: "Cluster", type: "string", format: "", description: "The member cluster.", priority: 0 },
  { name: "Type", type: "string", format: "", description: "Sidecar or router.", priority: 0 },
  { name: "Synced", type: "string", format: "", description: "Types of resources that are in sync.", priority: 0 },
  { name: "Envoy", type: "string", format: "", description: "Version of Envoy.", priority: 0 },
  { name: "Age", type: "date", format: "", description: "Since when it is connected.", priority: 0 },
  { name: "Address", type: "string", format: "", description: "The Pod's address.", priority: 1 },
];

function age(since: string, now: number, format: (ms: number) => string): string {
  return format(now - Date.parse(since));
}

/** Proxies as a `meta.k8s.io/v1.Table`. */
export function proxyTable(proxies: readonly ProxyObject[], now: number, format: (ms: number) => string): object {
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata: { resourceVersion: "" },
    columnDefinitions: columns,
    rows: proxies.map((proxy) => {
      const states = Object.values(proxy.status.types) as readonly { readonly state: string }[];
      const synced = states.filter((one) => one.state === "SYNCED").length;
      const { metadata, spec, status } = proxy;
      const cells = [
        metadata.name,
        spec.cluster,
        spec.type,
        `${synced}/${states.length}`,
        spec.envoyVersion,
        age(status.connectedAt, now, format),
        spec.address,
      ];
      return { cells, object: { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata } };
    }),
  };
}
