/** What is known of an annotation of Istio's: where it belongs, and how far it can be relied on. */
export interface KnownAnnotation {
  /** Kinds that may have it; `Any` for all. */
  readonly kinds: readonly string[];
  readonly deprecated: boolean;
  readonly alpha: boolean;
}

type Row = readonly [name: string, kinds: string, notes?: string];

/** Istio's annotations, from `annotation/annotations.yaml` of its API of July 2026. */
const rows: readonly Row[] = [
  ["prometheus.istio.io/merge-metrics", "Pod", "alpha"],
  ["alpha.istio.io/kubernetes-serviceaccounts", "Service", "deprecated alpha"],
  ["alpha.istio.io/canonical-serviceaccounts", "Service", "deprecated alpha"],
  ["networking.istio.io/exportTo", "Service", "alpha"],
  ["sidecar.istio.io/inject", "Pod", "deprecated"],
  ["sidecar.istio.io/status", "Pod", "alpha"],
  ["sidecar.istio.io/rewriteAppHTTPProbers", "Pod", "alpha"],
  ["sidecar.istio.io/discoveryAddress", "Pod", "deprecated alpha"],
  ["sidecar.istio.io/proxyImage", "Pod", "alpha"],
  ["sidecar.istio.io/proxyImageType", "Pod", "alpha"],
  ["sidecar.istio.io/proxyCPU", "Pod", "alpha"],
  ["sidecar.istio.io/proxyCPULimit", "Pod", "alpha"],
  ["sidecar.istio.io/proxyMemory", "Pod", "alpha"],
  ["sidecar.istio.io/proxyMemoryLimit", "Pod"],
  ["sidecar.istio.io/interceptionMode", "Pod", "alpha"],
  ["sidecar.istio.io/bootstrapOverride", "Pod", "alpha"],
  ["sidecar.istio.io/statsInclusionPrefixes", "Pod", "deprecated alpha"],
  ["sidecar.istio.io/statsInclusionSuffixes", "Pod", "deprecated alpha"],
  ["sidecar.istio.io/statsInclusionRegexps", "Pod", "deprecated alpha"],
  ["sidecar.istio.io/statsHistogramBuckets", "Pod", "alpha"],
  ["sidecar.istio.io/statsFlushInterval", "Pod", "alpha"],
  ["sidecar.istio.io/statsEvictionInterval", "Pod", "alpha"],
  ["sidecar.istio.io/statsHistogramBins", "Pod", "alpha"],
  ["sidecar.istio.io/userVolume", "Pod", "alpha"],
  ["sidecar.istio.io/userVolumeMount", "Pod"],
  ["status.sidecar.istio.io/port", "Pod", "alpha"],
  ["sidecar.istio.io/logLevel", "Pod", "alpha"],
  ["sidecar.istio.io/componentLogLevel", "Pod", "alpha"],
  ["sidecar.istio.io/agentLogLevel", "Pod", "alpha"],
  ["sidecar.istio.io/nativeSidecar", "Pod", "alpha"],
  ["readiness.status.sidecar.istio.io/initialDelaySeconds", "Pod", "alpha"],
  ["readiness.status.sidecar.istio.io/periodSeconds", "Pod", "alpha"],
  ["readiness.status.sidecar.istio.io/failureThreshold", "Pod", "alpha"],
  ["readiness.status.sidecar.istio.io/applicationPorts", "Pod", "alpha"],
  ["traffic.istio.io/nodeSelector", "Service"],
  ["traffic.sidecar.istio.io/includeOutboundIPRanges", "Pod", "alpha"],
  ["traffic.sidecar.istio.io/excludeOutboundIPRanges", "Pod", "alpha"],
  ["traffic.sidecar.istio.io/includeInboundPorts", "Pod"],
  ["traffic.sidecar.istio.io/excludeInboundPorts", "Pod", "alpha"],
  ["traffic.sidecar.istio.io/excludeInterfaces", "Pod", "alpha"],
  ["traffic.sidecar.istio.io/includeOutboundPorts", "Pod", "alpha"],
  ["traffic.sidecar.istio.io/excludeOutboundPorts", "Pod", "alpha"],
  ["traffic.sidecar.istio.io/kubevirtInterfaces", "Pod", "deprecated alpha"],
  ["kubernetes.io/ingress.class", "Ingress"],
  ["galley.istio.io/analyze-suppress", "Any", "alpha"],
  ["proxy.istio.io/config", "Pod"],
  ["istio.io/dry-run", "AuthorizationPolicy", "alpha"],
  ["istio.io/rev", "Pod", "alpha"],
  ["proxy.istio.io/overrides", "Pod", "alpha"],
  ["inject.istio.io/templates", "Pod", "alpha"],
  ["sidecar.istio.io/extraStatTags", "Pod", "deprecated alpha"],
  ["istio.io/autoRegistrationGroup", "WorkloadEntry", "alpha"],
  ["istio.io/workloadController", "WorkloadEntry", "alpha"],
  ["istio.io/connectedAt", "WorkloadEntry", "alpha"],
  ["istio.io/disconnectedAt", "WorkloadEntry", "alpha"],
  ["topology.istio.io/controlPlaneClusters", "Namespace", "alpha"],
  ["gateway.istio.io/controller-version", "Any", "alpha"],
  ["ambient.istio.io/redirection", "Pod"],
  ["ambient.istio.io/waypoint-inbound-binding", "GatewayClass Gateway", "alpha"],
  ["gateway.istio.io/service-account", "Gateway", "alpha"],
  ["gateway.istio.io/name-override", "Gateway", "alpha"],
  ["networking.istio.io/service-type", "Gateway", "alpha"],
  ["networking.istio.io/traffic-distribution", "Namespace Service ServiceEntry", "alpha"],
  ["istio.io/use-waypoint-canary-weight", "Service ServiceEntry Namespace", "alpha"],
  ["ambient.istio.io/bypass-inbound-capture", "Pod", "alpha"],
  ["istio.io/reroute-virtual-interfaces", "Pod", "alpha"],
  ["ambient.istio.io/dns-capture", "Pod", "alpha"],
  ["sidecar.istio.io/statsCompression", "Pod", "deprecated alpha"],
];

/** Every annotation of Istio's, by name. */
export const knownAnnotations: ReadonlyMap<string, KnownAnnotation> = new Map(
  rows.map(([name, kinds, notes = ""]) => [
    name,
    { kinds: kinds.split(" "), deprecated: notes.includes("deprecated"), alpha: notes.includes("alpha") },
  ]),
);
