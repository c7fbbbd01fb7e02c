import { ownValue } from "#api/record.ts";
import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import type { ObjectRef, StringMap } from "#api/meta.ts";
import { parseServiceHost, serviceHost } from "./hosts.ts";
import { parseProtocol, portProtocol, type Protocol } from "./protocol.ts";
import type { Config, ServiceRow } from "./rows.ts";

/** A port of a service. */
export interface ServicePort {
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
  /** Where the workload listens: a number, or the name of a port of its Pod. */
  readonly targetPort: number | string;
}

/**
 * How a service's endpoints are found: they are known; by DNS, all answers or one at a time, or for the name that a request
 * asks for; the client has chosen the address already (headless services); or there are none, since the service is another
 * name of one (ExternalName).
 */
type Resolution = "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS" | "NONE" | "ALIAS";

/** A service of the mesh: the Services of one name and namespace in all clusters, or a host of a ServiceEntry. */
export interface Service {
  /** `namespace/host`. */
  readonly key: string;
  readonly host: string;
  readonly namespace: string;
  /** Short name of a Kubernetes service; the host of another. */
  readonly name: string;
  readonly registry: "Kubernetes" | "External";
  readonly resolution: Resolution;
  readonly ports: readonly ServicePort[];
  /** Virtual addresses in each cluster that has the service. */
  readonly addresses: Readonly<Record<string, readonly string[]>>;
  /** Virtual addresses elsewhere; `0.0.0.0` alone means that it has none. May hold CIDR ranges. */
  readonly defaultAddresses: readonly string[];
  /** Namespaces that may use it; `*` for all, `.` for its own. */
  readonly exportTo: readonly string[];
  /** Not part of the mesh: its workloads have no proxies. */
  readonly external: boolean;
  /** Labels of the workloads that serve it, by cluster; absent where endpoints are written by hand. */
  readonly selectors: Readonly<Record<string, StringMap>>;
  /** Its endpoints are the workloads with some labels, of which there may be none for a while. */
  readonly selects: boolean;
  /** Names of endpoints are told before these are ready. */
  readonly publishNotReady: boolean;
  /** Which endpoints are preferred: those of the caller's zone, or of its node; absent where none are. */
  readonly prefers?: "zone" | "node";
  /** Only endpoints on the caller's node are called. */
  readonly nodeLocal: boolean;
  /** Present where Gateways that select its Pods say the Pods' ports, not the service's. */
  readonly podPorts?: true;
  /** The host that an ExternalName service stands for, which may be another alias; present where `resolution` is ALIAS. */
  readonly externalName?: string;
  /** Names of which the certificates of its servers must have one; empty where that is not said. */
  readonly subjectAltNames: readonly string[];
  /** When the oldest of its objects was made. */
  readonly created: string;
  /** The objects that say all this. */
  readonly origins: readonly ObjectRef[];
}

/** The address of a service that has none. */
export const noAddress = "0.0.0.0";

/** The virtual addresses of a service for a proxy of a cluster. */
export function addressesIn(service: Service, cluster: string): readonly string[] {
  return ownValue(service.addresses, cluster) ?? service.defaultAddresses;
}

/** An object with the time it was made. */
interface Dated {
  readonly created: string;
  readonly ref: ObjectRef;
}

/** Of two that were made in the same second, as is common, Istio takes the one whose name comes first. */
function ageKey({ created, ref }: Dated): string {
  return `${created} ${ref.name} ${ref.namespace ?? ""} ${ref.cluster ?? ""}`;
}

/** Older first, then by cluster or name, so that every copy of the control plane decides alike. */
export function byAge(a: Dated, b: Dated): number {
  const [first, second] = [ageKey(a), ageKey(b)];
  return first < second ? -1 : Number(first > second);
}

/** Which namespaces an annotation exports to, such as `.,team-a`. */
function exportedTo(row: ServiceRow, otherwise: readonly string[]): readonly string[] {
  if (row.exportTo.trim() === "") return otherwise;
  return row.exportTo.split(",").map((namespace) => namespace.trim());
}

function portsOf(row: ServiceRow): readonly ServicePort[] {
  return (row.spec.ports ?? []).map((port) => ({
    name: port.name ?? "",
    number: port.port,
    protocol: portProtocol({
      name: port.name ?? "",
      number: port.port,
      transport: port.protocol ?? "TCP",
      appProtocol: port.appProtocol,
    }),
    targetPort: port.targetPort ?? port.port,
  }));
}

function virtualAddresses(row: ServiceRow): readonly string[] {
  const all = row.spec.clusterIPs ?? (row.spec.clusterIP === undefined ? [] : [row.spec.clusterIP]);
  const usable = all.filter((address) => address !== "" && address !== "None" && !address.includes(":"));
  return usable.length === 0 ? [noAddress] : usable;
}

/** Ports by number; the first to name a number wins. */
function unionPorts(lists: readonly (readonly ServicePort[])[]): readonly ServicePort[] {
  const byNumber = new Map<string, ServicePort>();
  for (const port of lists.flat()) {
    const key = `${port.number}/${port.protocol === "UDP" ? "UDP" : "TCP"}`;
    if (!byNumber.has(key)) byNumber.set(key, port);
  }
  return [...byNumber.values()];
}

/** The host that a Service is another name of; undefined for Services of other types. */
export function externalNameOf({ spec }: ServiceRow): string | undefined {
  if (spec.type !== "ExternalName" || spec.externalName === undefined) return undefined;
  return spec.externalName.toLowerCase().replace(/\.$/, "");
}

function kubernetesResolution(row: ServiceRow): Resolution {
  if (externalNameOf(row) !== undefined) return "ALIAS";
  return virtualAddresses(row)[0] === noAddress ? "NONE" : "STATIC";
}

const preferences: Readonly<Record<string, "zone" | "node">> = {
  preferclose: "zone",
  prefersamezone: "zone",
  prefersamenode: "node",
};

/** The first of these that says which endpoints are preferred decides; an annotation also by a word that is none. */
function preference(field: string | undefined, annotations: readonly string[]): Pick<Service, "prefers"> {
  const known = ownValue(preferences, (field ?? "").toLowerCase());
  const told = known ? field : annotations.find((each) => each !== "");
  const prefers = ownValue(preferences, (told ?? "").toLowerCase());
  return prefers ? { prefers } : {};
}

/** One service from the Services of its name and namespace in all clusters; the oldest decides what cannot be merged. */
export function mergeServices(
  rows: readonly ServiceRow[],
  exportDefault: readonly string[],
  distributionOf: (cluster: string, namespace: string) => string,
): Service | undefined {
  const sorted = rows.toSorted(byAge);
  const [oldest] = sorted;
  if (!oldest) return undefined;
  const host = serviceHost(oldest.name, oldest.namespace);
  const externalName = externalNameOf(oldest);
  const selectors = sorted.flatMap((row) => {
    const { selector } = row.spec;
    const none = selector === undefined || Object.keys(selector).length === 0 || externalName !== undefined;
    return none ? [] : [[row.cluster, selector] as const];
  });
  return {
    key: `${oldest.namespace}/${host}`,
    host,
    namespace: oldest.namespace,
    name: oldest.name,
    registry: "Kubernetes",
    resolution: kubernetesResolution(oldest),
    ports: unionPorts(sorted.map(portsOf)),
    addresses: Object.fromEntries(sorted.map((row) => [row.cluster, virtualAddresses(row)])),
    defaultAddresses: virtualAddresses(oldest),
    exportTo: exportedTo(oldest, exportDefault),
    external: externalName !== undefined,
    selectors: Object.fromEntries(selectors),
    selects: selectors.length > 0,
    publishNotReady: oldest.spec.publishNotReadyAddresses === true,
    ...preference(oldest.spec.trafficDistribution, [
      oldest.distribution,
      distributionOf(oldest.cluster, oldest.namespace),
    ]),
    nodeLocal: oldest.spec.internalTrafficPolicy === "Local",
    ...(oldest.podPorts && { podPorts: true }),
    ...(externalName !== undefined && { externalName }),
    subjectAltNames: [],
    created: oldest.created,
    origins: sorted.map((row) => row.ref),
  };
}

function entryPorts(spec: ServiceEntrySpec): readonly ServicePort[] {
  return (spec.ports ?? []).map((port) => ({
    name: port.name,
    number: port.number,
    protocol: parseProtocol(port.protocol ?? "") ?? "Auto",
    targetPort: port.targetPort === undefined || port.targetPort === 0 ? port.number : port.targetPort,
  }));
}

/** The addresses of a host: those that users wrote, else those that were given. IPv4 only. */
function entryAddresses(host: string, rows: readonly Config<ServiceEntrySpec>[]): readonly string[] {
  const written = rows.flatMap((row) => row.spec.addresses ?? []);
  const given = rows.flatMap((row) => (row.spec.resolution === "NONE" ? [] : (ownValue(row.given, host) ?? [])));
  return [...new Set(written.length > 0 ? written : given)].filter((each) => !each.includes(":"));
}

/** One service from the ServiceEntries of a namespace that name a host; the oldest decides what cannot be merged. */
export function mergeEntries(
  host: string,
  rows: readonly Config<ServiceEntrySpec>[],
  exportDefault: readonly string[],
  distributionOf: (cluster: string, namespace: string) => string,
): Service | undefined {
  const sorted = rows.toSorted(byAge);
  const [oldest] = sorted;
  if (!oldest) return undefined;
  const addresses = entryAddresses(host, sorted);
  const { exportTo = [] } = oldest.spec;
  return {
    key: `${oldest.namespace}/${host}`,
    host,
    namespace: oldest.namespace,
    name: parseServiceHost(host)?.name ?? host,
    registry: "External",
    resolution: oldest.spec.resolution ?? "NONE",
    ports: unionPorts(sorted.map((row) => entryPorts(row.spec))),
    addresses: {},
    defaultAddresses: addresses.length === 0 ? [noAddress] : addresses,
    exportTo: exportTo.length === 0 ? exportDefault : exportTo,
    external: (oldest.spec.location ?? "MESH_EXTERNAL") === "MESH_EXTERNAL",
    selectors: {},
    selects: sorted.some((row) => row.spec.workloadSelector !== undefined),
    publishNotReady: false,
    ...preference(undefined, [oldest.distribution ?? "", distributionOf("", oldest.namespace)]),
    nodeLocal: false,
    subjectAltNames: [...new Set(sorted.flatMap((row) => row.spec.subjectAltNames ?? []))],
    created: oldest.created,
    origins: sorted.map((row) => row.ref),
  };
}

/** The port of a service that connections are made to, by its number; one for UDP may have the same. */
export function connectionPort({ ports }: Service, number: number): ServicePort | undefined {
  return ports.find((port) => port.number === number && port.protocol !== "UDP");
}
