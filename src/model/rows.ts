import type { AuthorizationPolicySpec } from "#api/istio/authorization-policy.ts";
import { dryRunAnnotation } from "#api/istio/kind.ts";
import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import type { WorkloadEntrySpec } from "#api/istio/workload-entry.ts";
import type { DiscoveryMode } from "#api/weft/discovery-mode.ts";
import type { EgressScope } from "#api/weft/egress-scope.ts";
import { type ObjectRef, type ResourceObject, refOf, type StringMap } from "#api/meta.ts";

/** The label by which Pods, Namespaces and Services that are gateways say their network. */
export const networkLabel = "topology.istio.io/network";

const distributionAnnotation = "networking.istio.io/traffic-distribution";

/** What the model keeps of an Istio object: what can change a translation, nothing that changes by itself. */
export interface Config<Spec> {
  readonly ref: ObjectRef;
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339. Older objects win where two say different things. */
  readonly created: string;
  readonly spec: Spec;
  /** Addresses that the hosts of a ServiceEntry were given, from its status. */
  readonly given?: Readonly<Record<string, readonly string[]>>;
  /** A ServiceEntry's annotation `networking.istio.io/traffic-distribution`. */
  readonly distribution?: string;
  /** Present on a WorkloadEntry that has been found ill and takes no traffic. */
  readonly unhealthy?: boolean;
  /** Present on an AuthorizationPolicy that is only tried out, by its annotation `istio.io/dry-run`. */
  readonly dryRun?: true;
}

/** A Kubernetes Service of one cluster. */
export interface ServiceRow {
  readonly ref: ObjectRef;
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly created: string;
  /** The annotation `networking.istio.io/exportTo`; empty where there is none. */
  readonly exportTo: string;
  /** The annotation `networking.istio.io/traffic-distribution`; empty where there is none. */
  readonly distribution: string;
  /** The network that it is a gateway of, by its label `topology.istio.io/network`; empty where it is none. */
  readonly gatewayOf: string;
  /** The port of such a gateway by the label `networking.istio.io/gatewayPort`; empty where there is none. */
  readonly gatewayPort: string;
  /** Whether it has the label by which Gateways that select its Pods say the Pods' ports, not its own. */
  readonly podPorts: boolean;
  /** Where it is reached from other networks: addresses or names of its load balancer, and its external addresses. */
  readonly externalAddresses: readonly string[];
  readonly spec: ServiceSpec;
}

/** The members of a Service's specification that translation reads. */
interface ServiceSpec {
  readonly type?: string | undefined;
  readonly clusterIP?: string | undefined;
  readonly clusterIPs?: readonly string[] | undefined;
  readonly externalName?: string | undefined;
  readonly selector?: StringMap | undefined;
  readonly publishNotReadyAddresses?: boolean | undefined;
  readonly internalTrafficPolicy?: string | undefined;
  readonly trafficDistribution?: string | undefined;
  readonly ports?: readonly ServicePortSpec[] | undefined;
}

/** A port of a Service. */
interface ServicePortSpec {
  readonly name?: string | undefined;
  readonly port: number;
  readonly protocol?: string | undefined;
  readonly appProtocol?: string | undefined;
  readonly targetPort?: number | string | undefined;
}

/** An EndpointSlice of one cluster. */
export interface SliceRow {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  /** Name of the Service that it belongs to. */
  readonly service: string;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly endpoints: readonly SliceEndpoint[];
}

/** An address of an EndpointSlice. */
export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  /** Not ready, nor ever again. */
  readonly ending: boolean;
  readonly node: string;
  readonly zone: string;
  readonly hostname: string;
  /** Name of the Pod behind it, in the slice's namespace; empty where it is no Pod. */
  readonly pod: string;
}

/** A Pod of one cluster. */
export interface PodRow {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: StringMap;
  readonly ip: string;
  /** Whether it serves: ready, and not about to end. */
  readonly ready: boolean;
  /** Its TCP ports that have names. */
  readonly ports: Readonly<Record<string, number>>;
  readonly node: string;
  readonly serviceAccount: string;
  readonly hostname: string;
  readonly subdomain: string;
  /** The workload that owns it, as Istio names it: a Deployment rather than its ReplicaSet. */
  readonly workload: string;
}

/** A Node of one cluster: where it stands. */
export interface NodeRow {
  readonly cluster: string;
  readonly name: string;
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** A Namespace of one cluster. */
export interface NamespaceRow {
  readonly cluster: string;
  readonly name: string;
  readonly labels: StringMap;
  /** Its label `topology.istio.io/network`; empty where there is none. */
  readonly network: string;
  /** Its annotation `networking.istio.io/traffic-distribution`; empty where there is none. */
  readonly distribution: string;
}

/** A member cluster. */
export interface ClusterRow {
  readonly name: string;
  /** Clusters of one network reach each other's Pods directly. */
  readonly network: string;
}

/** A row's key in its table: unique among clusters. */
export function rowKey(cluster: string, namespace: string, name: string): string {
  return `${cluster}/${namespace}/${name}`;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A text, where it is one. */
function told(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function texts(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : undefined;
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value <= 65_535;
}

/** Texts by their names, where there are some. */
function textMap(value: unknown): StringMap | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.fromEntries(Object.entries(value).filter((entry) => typeof entry[1] === "string"));
}

/** Ports of a Service; what has no number is none. */
function servicePorts(value: unknown): readonly ServicePortSpec[] {
  return list(value).flatMap(({ name, port, protocol, appProtocol, targetPort }) => {
    if (!isPort(port)) return [];
    const target = isPort(targetPort) ? targetPort : told(targetPort);
    return [{ name: told(name), port, protocol: told(protocol), appProtocol: told(appProtocol), targetPort: target }];
  });
}

/** `status.addresses` of a ServiceEntry, by host. */
function givenAddresses(object: ResourceObject): NonNullable<Config<unknown>["given"]> {
  const addresses = list(record(object["status"])["addresses"]);
  const byHost = Map.groupBy(addresses, ({ host }) => text(host));
  return Object.fromEntries([...byHost].map(([host, all]) => [host, all.map(({ value }) => text(value))]));
}

/** An Istio object, its specification taken as it is: the API has checked it. */
export function configRow<Spec>(object: ResourceObject): Config<Spec> {
  const { name, namespace = "", creationTimestamp } = object.metadata;
  const spec = record(object["spec"]) as unknown as Spec;
  return { ref: refOf(object), namespace, name, created: creationTimestamp, spec };
}

/** An AuthorizationPolicy. */
export function authorizationPolicyRow(object: ResourceObject): Config<AuthorizationPolicySpec> {
  const dryRun = /^(?:1|t|true)$/i.test(object.metadata.annotations?.[dryRunAnnotation] ?? "");
  return { ...configRow<AuthorizationPolicySpec>(object), ...(dryRun && { dryRun }) };
}

/** A ServiceEntry. */
export function serviceEntryRow(object: ResourceObject): Config<ServiceEntrySpec> {
  const distribution = object.metadata.annotations?.[distributionAnnotation] ?? "";
  const row = { ...configRow<ServiceEntrySpec>(object), given: givenAddresses(object) };
  return distribution === "" ? row : { ...row, distribution };
}

/** What proxies of a workload hold from their start. */
export interface HeldHosts {
  readonly discovery?: DiscoveryMode;
  /** Full names and wildcards, declared and learned, each once. */
  readonly hosts: readonly string[];
  /** How many of them, the first, are declared. */
  readonly declared: number;
}

/** An EgressScope. When hosts were called changes all the time, and nothing that proxies get. */
export function egressScopeRow(object: ResourceObject): Config<HeldHosts> {
  const { ref, namespace, name, created, spec } = configRow<Partial<EgressScope["spec"]>>(object);
  const declared = (spec.hosts ?? []).map(({ host }) => host);
  const learned = list(record(object["status"])["learned"]).map(({ host }) => text(host));
  const hosts = [...new Set([...declared, ...learned])];
  const { discovery } = spec;
  return {
    ref,
    namespace,
    name,
    created,
    spec: { hosts, declared: declared.length, ...(discovery && { discovery }) },
  };
}

/** Whether a WorkloadEntry whose health is checked is not healthy. One that is not checked is taken to be. */
function isUnhealthy({ metadata, ...object }: ResourceObject): boolean {
  const checked = metadata.annotations?.["proxy.istio.io/health-checks-enabled"] ?? "";
  if (!/^(?:1|t|true)$/i.test(checked)) return false;
  const conditions = list(record(object["status"])["conditions"]);
  return !conditions.some(({ type, status }) => type === "Healthy" && status === "True");
}

/** A WorkloadEntry. Labels of its metadata go before those of its specification. */
export function workloadEntryRow(object: ResourceObject): Config<WorkloadEntrySpec> {
  const row = configRow<WorkloadEntrySpec>(object);
  const labels = { ...row.spec.labels, ...object.metadata.labels };
  const unhealthy = isUnhealthy(object);
  return { ...row, spec: { ...row.spec, labels }, ...(unhealthy && { unhealthy }) };
}

/** Where a Service is reached from outside. */
function externalAddresses(object: ResourceObject): readonly string[] {
  const { type, externalIPs } = record(object["spec"]);
  const balancer = record(record(object["status"])["loadBalancer"]);
  const ingress = type === "LoadBalancer" ? list(balancer["ingress"]) : [];
  const own = texts(externalIPs) ?? [];
  return [...ingress.map(({ ip, hostname }) => text(ip) || text(hostname)), ...own].filter((each) => each !== "");
}

/** A Service. */
export function serviceRow(object: ResourceObject, cluster: string): ServiceRow {
  const { name, namespace = "", creationTimestamp, annotations = {}, labels = {} } = object.metadata;
  const spec = record(object["spec"]);
  return {
    ref: refOf(object, cluster),
    cluster,
    namespace,
    name,
    created: creationTimestamp,
    exportTo: annotations["networking.istio.io/exportTo"] ?? "",
    distribution: annotations[distributionAnnotation] ?? "",
    gatewayOf: labels[networkLabel] ?? "",
    gatewayPort: labels["networking.istio.io/gatewayPort"] ?? "",
    podPorts: labels["experimental.istio.io/disable-gateway-port-translation"] !== undefined,
    externalAddresses: externalAddresses(object),
    spec: {
      type: told(spec["type"]),
      clusterIP: told(spec["clusterIP"]),
      clusterIPs: texts(spec["clusterIPs"]),
      externalName: told(spec["externalName"]),
      selector: textMap(spec["selector"]),
      publishNotReadyAddresses: spec["publishNotReadyAddresses"] === true,
      internalTrafficPolicy: told(spec["internalTrafficPolicy"]),
      trafficDistribution: told(spec["trafficDistribution"]),
      ports: servicePorts(spec["ports"]),
    },
  };
}

function sliceEndpoint(endpoint: Readonly<Record<string, unknown>>): SliceEndpoint {
  const conditions = record(endpoint["conditions"]);
  const target = record(endpoint["targetRef"]);
  // Unknown readiness means ready, by the API's definition. What is not ready is taken to end unless it says otherwise.
  const ready = conditions["ready"] !== false;
  return {
    addresses: texts(endpoint["addresses"]) ?? [],
    ready,
    ending: !ready && conditions["terminating"] !== false,
    node: text(endpoint["nodeName"]),
    zone: text(endpoint["zone"]),
    hostname: text(endpoint["hostname"]),
    pod: target["kind"] === "Pod" ? text(target["name"]) : "",
  };
}

/** An EndpointSlice; undefined for one that belongs to no Service or holds other than IPv4 addresses. */
export function sliceRow(object: ResourceObject, cluster: string): SliceRow | undefined {
  const { name, namespace = "", labels = {} } = object.metadata;
  const service = labels["kubernetes.io/service-name"];
  if (service === undefined || object["addressType"] !== "IPv4") return undefined;
  const ports = list(object["ports"]).flatMap((port) =>
    isPort(port["port"]) ? [{ name: text(port["name"]), port: port["port"] }] : [],
  );
  return { cluster, namespace, name, service, ports, endpoints: list(object["endpoints"]).map(sliceEndpoint) };
}

/** The workload that a Pod belongs to: of a ReplicaSet with a hash in its name, the Deployment. */
function workloadOf(object: ResourceObject): string {
  const owner = object.metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (!owner) return object.metadata.name;
  const hash = object.metadata.labels?.["pod-template-hash"];
  const tail = hash === undefined ? "" : `-${hash}`;
  return owner.kind === "ReplicaSet" && tail !== "" && owner.name.endsWith(tail)
    ? owner.name.slice(0, -tail.length)
    : owner.name;
}

/** Whether a Pod serves, as Kubernetes' own endpoints have it. */
function serves({ metadata, ...object }: ResourceObject): boolean {
  const { phase, conditions } = record(object["status"]);
  if (metadata.deletionTimestamp !== undefined || phase === "Failed" || phase === "Succeeded") return false;
  return list(conditions).some(({ type, status }) => type === "Ready" && status === "True");
}

/** Ports by name of a Pod's containers, those that start first and stay included; of two with one name the first. */
function namedPorts({ containers, initContainers }: Readonly<Record<string, unknown>>): PodRow["ports"] {
  const staying = list(initContainers).filter(({ restartPolicy }) => restartPolicy === "Always");
  const all = [...list(containers), ...staying].flatMap(({ ports }) => list(ports));
  const named = all.filter(
    ({ name, protocol, containerPort }) => text(name) !== "" && (protocol ?? "TCP") === "TCP" && isPort(containerPort),
  );
  return Object.fromEntries(named.toReversed().map((port) => [text(port["name"]), Number(port["containerPort"])]));
}

/** A Pod. */
export function podRow(object: ResourceObject, cluster: string): PodRow {
  const { name, namespace = "", labels = {} } = object.metadata;
  const spec = record(object["spec"]);
  const status = record(object["status"]);
  return {
    cluster,
    namespace,
    name,
    labels,
    ip: text(status["podIP"]),
    ready: serves(object),
    ports: namedPorts(spec),
    node: text(spec["nodeName"]),
    serviceAccount: text(spec["serviceAccountName"]) || "default",
    hostname: text(spec["hostname"]),
    subdomain: text(spec["subdomain"]),
    workload: workloadOf(object),
  };
}

/** A Node. */
export function nodeRow(object: ResourceObject, cluster: string): NodeRow {
  const { name, labels = {} } = object.metadata;
  return {
    cluster,
    name,
    region: labels["topology.kubernetes.io/region"] ?? labels["failure-domain.beta.kubernetes.io/region"] ?? "",
    zone: labels["topology.kubernetes.io/zone"] ?? labels["failure-domain.beta.kubernetes.io/zone"] ?? "",
    subzone: labels["topology.istio.io/subzone"] ?? "",
  };
}

/** A Namespace. */
export function namespaceRow(object: ResourceObject, cluster: string): NamespaceRow {
  const { name, labels = {}, annotations = {} } = object.metadata;
  const distribution = annotations[distributionAnnotation] ?? "";
  return { cluster, name, labels, network: labels[networkLabel] ?? "", distribution };
}
