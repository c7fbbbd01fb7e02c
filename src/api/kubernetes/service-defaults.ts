import type { ResourceObject } from "../meta.ts";
import type { Service, ServiceSpec } from "./service.ts";

/** How long ClientIP affinity holds unless told, in seconds: Kubernetes' three hours. */
const affinitySeconds = 10_800;

function ports(spec: ServiceSpec): Pick<ServiceSpec, "ports"> {
  if (spec.ports === undefined) return {};
  // An ExternalName Service has no Pods, and a headless one without selector may have endpoints of any port; Kubernetes
  // fills in the target port for them too.
  return { ports: spec.ports.map((port) => ({ ...port, targetPort: port.targetPort || port.port })) };
}

function affinity(spec: ServiceSpec): Pick<ServiceSpec, "sessionAffinityConfig"> {
  if (spec.sessionAffinity !== "ClientIP") return {};
  const timeoutSeconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinitySeconds;
  return { sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
}

/** Fills in what Kubernetes fills in of a Service beside constants; addresses and node ports are the server's to give. */
export function completeService(object: ResourceObject): ResourceObject {
  const { spec } = object as Service;
  const outside = spec.type === "NodePort" || spec.type === "LoadBalancer";
  const completed: ServiceSpec = {
    ...spec,
    ...ports(spec),
    ...affinity(spec),
    ...(spec.type === "ExternalName" ? {} : { internalTrafficPolicy: spec.internalTrafficPolicy ?? "Cluster" }),
    ...(outside || (spec.externalIPs ?? []).length > 0
      ? { externalTrafficPolicy: spec.externalTrafficPolicy ?? "Cluster" }
      : {}),
    ...(spec.type === "LoadBalancer"
      ? { allocateLoadBalancerNodePorts: spec.allocateLoadBalancerNodePorts ?? true }
      : {}),
  };
  return { ...object, spec: completed };
}
