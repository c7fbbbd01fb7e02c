import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import { applicationContainers, controlPlaneService, interceptionOf, type TemplateContext } from "./context.ts";

/** Kubernetes' `core/v1.EnvVar`. */
interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: object;
}

function field(name: string, fieldPath: string): Variable {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

function limit(name: string, resource: string): Variable {
  return { name, valueFrom: { resourceFieldRef: { resource, divisor: "1" } } };
}

/** A variable, unless its value is empty. */
function unlessEmpty(name: string, value: string): readonly Variable[] {
  return value === "" ? [] : [{ name, value }];
}

/** How the proxy is started, for its agent; where the control plane is only where that is not Istio's usual place. */
function proxyConfig(config: MeshProxyConfig, { revision, settings }: TemplateContext): string {
  const service = controlPlaneService(revision, settings.rootNamespace);
  const usual = service === controlPlaneService("default", "istio-system");
  const { proxyMetadata = {}, ...others } = config;
  return JSON.stringify({
    ...others,
    ...(!usual && { discoveryAddress: `${service}:15012` }),
    ...(Object.keys(proxyMetadata).length > 0 && { proxyMetadata }),
  });
}

function podPorts({ pod }: TemplateContext): string {
  return JSON.stringify(pod.spec.containers.flatMap(({ ports = [] }) => ports));
}

/** The environment of the proxy's container: Istio's names, by which Istio's own agent finds its way too. */
export function proxyEnvironment(context: TemplateContext): readonly Variable[] {
  const { settings, config, mesh, cluster, network, workload, namespace, revision, pod } = context;
  const { caAddress, rootNamespace } = settings;
  const owner = `kubernetes://apis/${workload.apiVersion}/namespaces/${namespace}/${workload.kind.toLowerCase()}s/${workload.name}`;
  const override = pod.metadata.annotations?.["sidecar.istio.io/bootstrapOverride"];
  return [
    ...(mesh.inboundToLoopback ? [{ name: "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", value: "true" }] : []),
    { name: "PILOT_CERT_PROVIDER", value: "istiod" },
    { name: "CA_ADDR", value: caAddress === "" ? `${controlPlaneService(revision, rootNamespace)}:15012` : caAddress },
    field("POD_NAME", "metadata.name"),
    field("POD_NAMESPACE", "metadata.namespace"),
    field("INSTANCE_IP", "status.podIP"),
    field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    field("HOST_IP", "status.hostIP"),
    limit("ISTIO_CPU_LIMIT", "limits.cpu"),
    { name: "PROXY_CONFIG", value: proxyConfig(config, context) },
    { name: "ISTIO_META_POD_PORTS", value: podPorts(context) },
    { name: "ISTIO_META_APP_CONTAINERS", value: applicationContainers(context).join(",") },
    limit("GOMEMLIMIT", "limits.memory"),
    { name: "ISTIO_META_CLUSTER_ID", value: cluster === "" ? "Kubernetes" : cluster },
    field("ISTIO_META_NODE_NAME", "spec.nodeName"),
    { name: "ISTIO_META_INTERCEPTION_MODE", value: interceptionOf(context) },
    ...unlessEmpty("ISTIO_META_NETWORK", network),
    ...unlessEmpty(
      "ISTIO_META_WORKLOAD_NAME",
      pod.metadata.labels?.["service.istio.io/workload-name"] ?? workload.name,
    ),
    ...(workload.name === "" ? [] : [{ name: "ISTIO_META_OWNER", value: owner }]),
    ...(override === undefined
      ? []
      : [{ name: "ISTIO_BOOTSTRAP_OVERRIDE", value: "/etc/istio/custom-bootstrap/custom_bootstrap.json" }]),
    ...unlessEmpty("ISTIO_META_MESH_ID", settings.meshId === "" ? mesh.trustDomain : settings.meshId),
    ...unlessEmpty("TRUST_DOMAIN", mesh.trustDomain),
    ...Object.entries(config.proxyMetadata ?? {}).map(([name, value]) => ({ name, value })),
  ];
}
