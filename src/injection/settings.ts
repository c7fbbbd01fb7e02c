import type { LabelSelector } from "#api/kubernetes/meta.ts";
import type { JsonObject } from "#api/json.ts";
import type { StringMap } from "#api/meta.ts";

/** Traffic that proxies get unless a Pod's annotations say otherwise, in the words of these annotations. */
export interface CaptureDefaults {
  readonly includeOutboundIPRanges: string;
  readonly excludeOutboundIPRanges: string;
  readonly includeInboundPorts: string;
  readonly excludeInboundPorts: string;
  readonly includeOutboundPorts: string;
  readonly excludeOutboundPorts: string;
}

/** The container of proxies, as Istio's `values.global.proxy` says it. */
export interface ProxySettings extends CaptureDefaults {
  /** The image's name, with a registry before it or without. */
  readonly image: string;
  /** Kubernetes' `core/v1.ResourceRequirements`. */
  readonly resources: JsonObject;
  readonly clusterDomain: string;
  readonly logLevel: string;
  readonly componentLogLevel: string;
  /** The port of the proxy's agent; 0 means that nobody asks whether the proxy is ready. */
  readonly statusPort: number;
  readonly readinessInitialDelaySeconds: number;
  readonly readinessPeriodSeconds: number;
  readonly readinessFailureThreshold: number;
  /** Failures after which a proxy that does not start is restarted; undefined where nobody asks. */
  readonly startupFailures: number | undefined;
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly privileged: boolean;
  /** Kubernetes' `core/v1.Lifecycle` in place of Istio's own; undefined for that. */
  readonly lifecycle: JsonObject | undefined;
  readonly seccompProfile: JsonObject | undefined;
}

/** What an injector adds to Pods, and to which: Istio's ConfigMap `istio-sidecar-injector`. */
export interface InjectionSettings {
  /** Whether Pods that say nothing get a proxy; which Pods are asked about is up to the webhook's selectors. */
  readonly policy: "enabled" | "disabled";
  /** Pods that get none, and Pods that get one, unless they say otherwise; the first goes before the second. */
  readonly neverInjectSelector: readonly LabelSelector[];
  readonly alwaysInjectSelector: readonly LabelSelector[];
  readonly injectedAnnotations: StringMap;
  readonly defaultTemplates: readonly string[];
  /** Names that stand for several templates. */
  readonly aliases: Readonly<Record<string, readonly string[]>>;
  /** Templates beside `sidecar` and `gateway`: parts of a Pod that are merged into it; a text says why one cannot be used. */
  readonly templates: ReadonlyMap<string, JsonObject | string>;
  readonly hub: string;
  readonly tag: string;
  /** The kind of images, such as `debug`. */
  readonly variant: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly string[];
  readonly initImage: string;
  readonly proxy: ProxySettings;
  /** Whether a CNI plugin captures traffic, so that no container needs to. */
  readonly cni: boolean;
  readonly rewriteAppHTTPProbe: boolean;
  /** The level of the agent's log. */
  readonly agentLogLevel: string;
  readonly logAsJson: boolean;
  /** Name of the cluster, of its network and of the mesh; empty where unknown. */
  readonly clusterName: string;
  readonly network: string;
  readonly meshId: string;
  /** The namespace of the control plane. */
  readonly rootNamespace: string;
  /** Where certificates come from; the control plane unless set. */
  readonly caAddress: string;
  /** Security context of Pods that are gateways; one that lets them open low ports unless set. */
  readonly gatewaySecurityContext: JsonObject | undefined;
}
