import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";

/** The annotation of Pods with settings of their proxies: a ProxyConfig of Istio's MeshConfig, as YAML. */
export const proxyConfigAnnotation = "proxy.istio.io/config";

/** Members that a proxy that nobody has set has none of: later ones replace them one by one. */
function mergedHeaders(
  base: MeshProxyConfig["proxyHeaders"] = {},
  over: NonNullable<MeshProxyConfig["proxyHeaders"]>,
): NonNullable<MeshProxyConfig["proxyHeaders"]> {
  const { forwardedClientCert, requestId, attemptCount, server, envoyDebugHeaders } = base;
  const kept = { forwardedClientCert, requestId, attemptCount, server, envoyDebugHeaders };
  return {
    ...(Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)) as typeof base),
    ...over,
  };
}

/**
 * Puts settings over others, as Istio does: member by member as a whole, but variables one by one, and of the headers those
 * that Istio merges: a header that only the first has stays.
 */
export function mergeProxyConfig(base: MeshProxyConfig, over: MeshProxyConfig | undefined): MeshProxyConfig {
  if (!over) return base;
  const { serviceCluster: _name, tracingServiceName: _rule, ...others } = base;
  const named = over.serviceCluster !== undefined || over.tracingServiceName !== undefined;
  return {
    ...(named ? others : base),
    ...over,
    ...(over.proxyMetadata && { proxyMetadata: { ...base.proxyMetadata, ...over.proxyMetadata } }),
    ...(over.proxyHeaders && { proxyHeaders: mergedHeaders(base.proxyHeaders, over.proxyHeaders) }),
  };
}

/** Filters of requests that may have nothing to do: faults and CORS where a workload is called, counts of gRPC everywhere. */
export type UnusedFilter = "faults" | "cors" | "grpcStats";

/** The part of a ProxyConfig that changes what proxies do with traffic; the rest is for who starts them. */
export type TrafficConfig = Pick<MeshProxyConfig, "proxyHeaders" | "gatewayTopology" | "connectionSettings"> & {
  /** What is left out by the proxies' profile. */
  readonly unused?: readonly UnusedFilter[];
};

/** That part. */
export function trafficConfig({ proxyHeaders, gatewayTopology, connectionSettings }: MeshProxyConfig): TrafficConfig {
  return {
    ...(proxyHeaders && { proxyHeaders }),
    ...(gatewayTopology && { gatewayTopology }),
    ...(connectionSettings && { connectionSettings }),
  };
}
