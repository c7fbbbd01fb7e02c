import { canonical } from "#base/canonical.ts";
import { WeftError } from "#base/errors.ts";
import type { StringMap } from "#api/meta.ts";
import { labelledLocality, type Locality } from "#model/locality.ts";
import { discoveryKey } from "#api/weft/discovery-mode.ts";
import { profileKey } from "#api/weft/profile.ts";
import { proxyConfigAnnotation } from "#model/proxy-config.ts";
import type { ProxyView, WorkloadPort } from "./view.ts";

/** What translation reads of an Envoy node; the xDS server's `ProxyNode` is one. */
export interface NodeInfo {
  /** `type~address~name.namespace~domain`. */
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality: Locality;
  /** Present where its account may not read the Secrets of its namespace. */
  readonly withoutSecrets?: true;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function stringMap(value: unknown): StringMap {
  if (typeof value !== "object" || value === null) return {};
  const entries = Object.entries(value).filter(([, member]) => typeof member === "string");
  return Object.fromEntries(entries);
}

/** `POD_PORTS` as Istio's agent sends it: a JSON list of container ports, as text. */
function podPorts(value: unknown): readonly WorkloadPort[] {
  const parsed = typeof value === "string" ? parseList(value) : value;
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap((each: unknown) => {
    const { name, containerPort } = each as { readonly name?: unknown; readonly containerPort?: unknown };
    return typeof name === "string" && typeof containerPort === "number" ? [{ name, port: containerPort }] : [];
  });
}

function parseList(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

const topology = "topology.kubernetes.io";

/** The node's own word, else what the workload's labels tell. */
function localityOf(locality: Locality, labels: StringMap): Locality {
  if (locality.region !== "") return locality;
  const labelled = labelledLocality(labels);
  if (labelled) return labelled;
  return {
    region: labels[`${topology}/region`] ?? "",
    zone: labels[`${topology}/zone`] ?? "",
    subzone: labels["topology.istio.io/subzone"] ?? "",
  };
}

/** What tells single proxies apart: a class for each of them would share nothing. */
const ownMetadata: ReadonlySet<string> = new Set(["NAME", "INSTANCE_IPS", "NODE_NAME"]);

/** What an agent says of a proxy whose workload it brings into the mesh, or out of it. */
export const lenientKey = "WEFT_LENIENT";

/** What an agent says of a proxy to which connections of IPv6 are redirected. */
const ipv6Key = "WEFT_IPV6";

/** Entries of its metadata by which EnvoyFilters may ask for it, less those that the view has otherwise. */
function sharedMetadata(metadata: NodeInfo["metadata"]): StringMap {
  const kept = Object.entries(metadata).filter(([name]) => isSharedMetadata(name) && name !== "POD_PORTS");
  return stringMap(Object.fromEntries(kept));
}

/** Whether an entry of a proxy's metadata can be asked for. */
export function isSharedMetadata(name: string): boolean {
  return !ownMetadata.has(name);
}

function interceptionOf(mode: string): ProxyView["interception"] {
  return mode === "TPROXY" || mode === "NONE" ? mode : "REDIRECT";
}

/** Members that Istio's agent tells of what it started a proxy with, which translation carries out. */
const startedWith: ReadonlySet<string> = new Set(["proxyHeaders", "gatewayTopology", "connectionSettings"]);

/** Settings of a proxy's own: the annotation of its workload, and before it what Istio's agent has started it with. */
function configOf({
  ANNOTATIONS: annotations,
  PROXY_CONFIG: started,
}: NodeInfo["metadata"]): Pick<ProxyView, "config"> {
  const annotation = stringMap(annotations)[proxyConfigAnnotation] ?? "";
  const told = Object.entries(typeof started === "object" && started !== null ? started : {});
  const members = told.filter(([name]) => startedWith.has(name));
  const texts = [annotation, members.length === 0 ? "" : canonical(Object.fromEntries(members))];
  return texts.every((each) => each === "") ? {} : { config: texts };
}

/**
 * Whether a proxy's agent serves it certificates of the mesh: Weft's says so, and Istio's, which always does, names the
 * certificate that it expects of the control plane. Others would wait for certificates for ever.
 */
function isIdentified({
  WEFT_SDS: serves,
  PILOT_SAN: expected,
  ISTIO_VERSION: version,
}: NodeInfo["metadata"]): boolean {
  if (serves !== undefined) return serves === "true";
  return text(version) !== "" && Array.isArray(expected) && expected.length > 0;
}

/** The namespace that a node says it is of: by its metadata, or by its id's domain. */
function namespaceOf({ id, metadata }: NodeInfo): string {
  const [, , , domain = ""] = id.split("~");
  return text(metadata["NAMESPACE"]) || (domain.split(".")[0] ?? "");
}

/** What of a node decides which secrets it asks for. It is asked of all proxies again and again, so that little is read. */
export function secretReader(node: NodeInfo): Pick<ProxyView, "type" | "namespace" | "labels"> {
  const type = node.id.startsWith("router~") ? "router" : "sidecar";
  return { type, namespace: namespaceOf(node), labels: stringMap(node.metadata["LABELS"]) };
}

/**
 * What an Envoy is to translation, from its node as Istio's agent sends it.
 * @throws WeftError `InvalidArgument` when the type or the namespace is missing.
 */
export function proxyView(
  { id, metadata, locality, withoutSecrets }: NodeInfo,
  virtualHosts: ProxyView["virtualHosts"] = "inside",
): ProxyView {
  const [type = "", , name = ""] = id.split("~");
  if (type !== "sidecar" && type !== "router") {
    throw new WeftError("InvalidArgument", `node id "${id}" does not begin with sidecar~ or router~`);
  }
  const namespace = namespaceOf({ id, metadata, locality });
  if (namespace === "" || name === "") {
    throw new WeftError("InvalidArgument", `node id "${id}" and metadata NAMESPACE name no namespace`);
  }
  const labels = stringMap(metadata["LABELS"]);
  const { [discoveryKey]: discovery, [profileKey]: profile } = stringMap(metadata["ANNOTATIONS"]);
  return {
    type,
    namespace,
    cluster: text(metadata["CLUSTER_ID"]),
    network: text(metadata["NETWORK"]),
    locality: localityOf(locality, labels),
    node: text(metadata["NODE_NAME"]),
    labels,
    workloadPorts: podPorts(metadata["POD_PORTS"]),
    interception: interceptionOf(text(metadata["INTERCEPTION_MODE"])),
    ...(metadata[ipv6Key] === "true" && { ipv6: true }),
    ...(isIdentified(metadata) && { identified: true }),
    ...(metadata[lenientKey] === "true" && { lenient: true }),
    ...(withoutSecrets && { withoutSecrets }),
    ...configOf(metadata),
    metadata: sharedMetadata(metadata),
    virtualHosts,
    ...(discovery !== undefined && { discovery }),
    ...(profile !== undefined && { profile }),
  };
}

/** A view as the name of its class: proxies with equal views are one class. */
export function classKey({ node, ...view }: ProxyView): string {
  return `${node}\n${canonical(view)}`;
}

/** The class of proxies that are alike but run on no particular node: where nothing depends on nodes, it stands for all. */
export function withoutNode(key: string): string {
  return key.slice(key.indexOf("\n"));
}

/** The view that a class stands for. */
export function parseClass(key: string): ProxyView {
  const end = key.indexOf("\n");
  return { ...(JSON.parse(key.slice(end)) as Omit<ProxyView, "node">), node: key.slice(0, end) };
}
