import { istioRelease } from "#api/istio/common.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { canonicalNames, workloadOf } from "#api/kubernetes/workload.ts";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { StringMap } from "#api/meta.ts";
import { modeAnnotation } from "./capture-annotations.ts";
import type { ProxyOptions } from "./options.ts";
import type { ProxyRole } from "./injection.ts";

/** What is said of a proxy to the control plane. */
export interface ProxyNodeOptions {
  readonly pod: Pod;
  readonly role: Exclude<ProxyRole, "none">;
  readonly address: string;
  /** Whether connections of IPv6 are led to it. */
  readonly ipv6?: boolean;
  /** How the proxy is started. */
  readonly config?: MeshProxyConfig;
  readonly agent: Pick<
    ProxyOptions,
    | "cluster"
    | "node"
    | "region"
    | "zone"
    | "network"
    | "clusterDomain"
    | "meshId"
    | "envoy"
    | "identity"
    | "nameServers"
  >;
}

/** `envoy.config.core.v3.Node` in its JSON form. */
export interface ProxyNode {
  readonly id: string;
  readonly cluster: string;
  readonly locality: { readonly region: string; readonly zone: string };
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** The Istio version whose agent this one speaks like; consumers of the metadata compare it. */
const istioVersion = `${istioRelease}.0`;

/** The canonical service and revision labels, as Istio's injection adds them where a workload has none. */
function labelsOf(pod: Pod, workload: string): Readonly<Record<string, string>> {
  const { labels = {} } = pod.metadata;
  const { name, revision } = canonicalNames(labels, workload);
  return {
    "service.istio.io/canonical-name": name,
    "service.istio.io/canonical-revision": revision,
    ...labels,
  };
}

function podPorts(pod: Pod): string {
  const ports = pod.spec.containers.flatMap((container) => container.ports ?? []);
  return JSON.stringify(
    ports.map(({ name, containerPort, protocol }) => ({
      ...(name === undefined ? {} : { name }),
      containerPort,
      protocol,
    })),
  );
}

/** What a proxy calls its workload, where its settings say it; undefined where they do not. */
function serviceCluster(config: MeshProxyConfig, labels: StringMap, namespace: string): string | undefined {
  const { serviceCluster: name, tracingServiceName: rule } = config;
  if (name !== undefined) return name;
  const canonical = labels["service.istio.io/canonical-name"] ?? "";
  if (rule === "CANONICAL_NAME_ONLY") return canonical;
  return rule === "CANONICAL_NAME_AND_NAMESPACE" ? `${canonical}.${namespace}` : undefined;
}

/** Metadata of proxies that their agent serves secrets to. */
export const servesSecrets = "WEFT_SDS";

/** Metadata of proxies that take plain text beside mutual TLS, whatever policies say: their Pods are on their way into the mesh, or out of it. */
export const lenientKey = "WEFT_LENIENT";

/** Metadata of proxies to which connections of IPv6 are redirected. */
export const ipv6Key = "WEFT_IPV6";

const metadataPrefix = "ISTIO_META_";

/** What is the agent's to say, and no setting's. */
const isOwn = (name: string): boolean => [lenientKey, ipv6Key].some((key) => name === `${metadataPrefix}${key}`);

/** Variables of the proxy's environment that are metadata of its node, too. */
function extraMetadata({ proxyMetadata = {} }: MeshProxyConfig): StringMap {
  const named = Object.entries(proxyMetadata).filter(([name]) => name.startsWith(metadataPrefix) && !isOwn(name));
  return Object.fromEntries(named.map(([name, value]) => [name.slice(metadataPrefix.length), value]));
}

/** Whether a Pod is to look up names at its agent, as the settings of its proxy say in Istio's variable. */
export function asksForNames({ proxyMetadata = {} }: MeshProxyConfig): boolean {
  return proxyMetadata["ISTIO_META_DNS_CAPTURE"] === "true";
}

/** A proxy's node as Istio's agent announces it. */
export function proxyNode({ pod, role, address, ipv6, agent, config = {} }: ProxyNodeOptions): ProxyNode {
  const { name, namespace = "" } = pod.metadata;
  const workload = workloadOf(pod.metadata);
  const service = pod.metadata.labels?.["app"] ?? workload.name;
  const cluster =
    serviceCluster(config, labelsOf(pod, workload.name), namespace) ??
    (role === "gateway" ? service : `${service}.${namespace}`);
  const domain = `${namespace}.svc.${agent.clusterDomain}`;
  const plural = `${workload.kind.toLowerCase()}s`;
  const owner = `kubernetes://apis/${workload.apiVersion}/namespaces/${namespace}/${plural}/${workload.name}`;
  return {
    id: `${role === "gateway" ? "router" : "sidecar"}~${address}~${name}.${namespace}~${domain}`,
    cluster,
    locality: { region: agent.region, zone: agent.zone },
    metadata: {
      ...extraMetadata(config),
      ANNOTATIONS: pod.metadata.annotations ?? {},
      APP_CONTAINERS: role === "gateway" ? "" : pod.spec.containers.map((container) => container.name).join(","),
      CLUSTER_ID: agent.cluster,
      DNS_CAPTURE: agent.nameServers ? String(asksForNames(config)) : "true",
      ENVOY_PROMETHEUS_PORT: 15090,
      ENVOY_STATUS_PORT: 15021,
      INSTANCE_IPS: address,
      INTERCEPTION_MODE: pod.metadata.annotations?.[modeAnnotation] === "NONE" ? "NONE" : "REDIRECT",
      ISTIO_VERSION: istioVersion,
      LABELS: labelsOf(pod, workload.name),
      MESH_ID: agent.meshId,
      NAME: name,
      NAMESPACE: namespace,
      NETWORK: agent.network,
      NODE_NAME: agent.node,
      OWNER: owner,
      POD_PORTS: podPorts(pod),
      PROXY_CONFIG: {
        binaryPath: "/usr/local/bin/envoy",
        concurrency: config.concurrency ?? agent.envoy.concurrency,
        configPath: "./etc/istio/proxy",
        controlPlaneAuthPolicy: "NONE",
        discoveryAddress: "istiod.istio-system.svc:15012",
        drainDuration: config.drainDuration ?? "45s",
        proxyAdminPort: 15000,
        serviceCluster: cluster,
        statNameLength: 189,
        statusPort: 15020,
        terminationDrainDuration: config.terminationDrainDuration ?? "5s",
      },
      SERVICE_ACCOUNT: pod.spec.serviceAccountName ?? "default",
      // The agent serves it secrets: without, a listener that asks for them would wait for ever.
      ...(agent.identity && { [servesSecrets]: "true" }),
      ...(ipv6 && { [ipv6Key]: "true" }),
      WORKLOAD_NAME: workload.name,
    },
  };
}
