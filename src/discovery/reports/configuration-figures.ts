import type { ProxyStatus } from "#xds/port.ts";
import { clusterOf, shortType } from "../proxy-object.ts";

/** Clusters that figures are kept of apart: what proxies say is no reason to keep them without end. */
const mostClusters = 128;

/** Bytes of configuration that connected proxies are to hold, by cluster and type. */
export function configurationFigures(proxies: readonly ProxyStatus[]): Readonly<Record<string, number>> {
  const figures: Record<string, number> = {};
  const clusters = new Set<string>();
  for (const { node, types } of proxies) {
    if (clusters.size < mostClusters) clusters.add(clusterOf(node));
    const cluster = JSON.stringify(clusters.has(clusterOf(node)) ? clusterOf(node) : "");
    for (const [type, state] of Object.entries(types)) {
      if (!state.size) continue;
      const labels = `cluster=${cluster},type="${shortType(type)}"`;
      const key = `proxy_configuration_bytes{${labels}}`;
      figures[key] = (figures[key] ?? 0) + state.size.bytes;
    }
  }
  return figures;
}
