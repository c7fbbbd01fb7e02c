import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { Workload } from "#api/kubernetes/workload.ts";
import type { InjectionSettings } from "../settings.ts";

/** Container names, which are Istio's. */
export const containerNames = { proxy: "istio-proxy", init: "istio-init", validation: "istio-validation" } as const;

/** What the mesh says, beside the injector's own settings. */
export interface MeshFacts {
  readonly trustDomain: string;
  /** Whether calls of a workload's ports go to its loopback (`inboundTrafficPolicy` LOCALHOST). */
  readonly inboundToLoopback: boolean;
  /** Whether proxies pass the metrics of their applications on, unless a Pod says otherwise. */
  readonly prometheusMerge: boolean;
}

/** What a template is filled in from. */
export interface TemplateContext {
  /** The Pod as its owner wrote it, whatever was injected before. */
  readonly pod: Pod;
  readonly namespace: string;
  readonly workload: Workload;
  readonly settings: InjectionSettings;
  /** How the proxy is started: settings of the mesh, of ProxyConfigs and of the Pod's annotation. */
  readonly config: MeshProxyConfig;
  readonly mesh: MeshFacts;
  /** The revision of the control plane. */
  readonly revision: string;
  readonly cluster: string;
  readonly network: string;
  /** Whether the proxy is an init container that goes on (a native sidecar). */
  readonly native: boolean;
}

/** The value of one of the Pod's annotations, or another. */
export function annotationOr({ pod }: TemplateContext, name: string, other: string): string {
  return pod.metadata.annotations?.[name] ?? other;
}

/** How calls of the Pod come to its proxy. */
export function interceptionOf(context: TemplateContext): string {
  return annotationOr(context, "sidecar.istio.io/interceptionMode", context.config.interceptionMode ?? "REDIRECT");
}

/** The port that the proxy's agent answers on; 0 where nobody is to ask. */
export function statusPortOf(context: TemplateContext): number {
  return Number(annotationOr(context, "status.sidecar.istio.io/port", String(context.settings.proxy.statusPort)));
}

/** The names of the Pod's own containers. */
export function applicationContainers({ pod }: TemplateContext): readonly string[] {
  return pod.spec.containers.map(({ name }) => name).filter((name) => name !== containerNames.proxy);
}

/** The control plane's Service: that of the default revision has no suffix. */
export function controlPlaneService(revision: string, namespace: string): string {
  return `istiod${revision === "default" || revision === "" ? "" : `-${revision}`}.${namespace}.svc`;
}
