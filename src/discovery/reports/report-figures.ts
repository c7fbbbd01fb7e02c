import type { EndpointVerdict } from "./endpoint-check.ts";
import { phaseOf } from "./phase.ts";
import type { HeldReport } from "./reports.ts";

/** Clusters that figures are kept of apart: what agents say is no reason to keep them without end. */
const mostClusters = 128;

/** A value as Prometheus has it between quotes. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/**
 * What agents tell, summed up by cluster: few series however many proxies there are.
 * @param connected whether a proxy has a stream of configuration here.
 */
export function reportFigures(
  reports: Iterable<HeldReport>,
  connected: (id: string) => boolean,
  verdict: (held: HeldReport) => EndpointVerdict | undefined,
): Readonly<Record<string, number>> {
  const figures: Record<string, number> = {};
  const clusters = new Set<string>();
  const add = (name: string, labels: string, value: number): void => {
    const key = `${name}{${labels}}`;
    figures[key] = Math.round(((figures[key] ?? 0) + value) * 100) / 100;
  };
  for (const held of reports) {
    const { report, node } = held;
    if (clusters.size < mostClusters) clusters.add(node.cluster);
    const cluster = `cluster=${quoted(clusters.has(node.cluster) ? node.cluster : "")}`;
    const { usage, traffic, restarts } = report;
    add("proxies", `${cluster},phase=${quoted(phaseOf(held, connected(node.id)))}`, 1);
    add("proxy_restarts", cluster, restarts);
    const { state } = verdict(held) ?? {};
    if (state) add("proxies_endpoints", `${cluster},state=${quoted(state)}`, 1);
    if (usage) add("proxy_cpu_millis", cluster, usage.cpuMillis);
    if (usage) add("proxy_memory_bytes", cluster, usage.memoryBytes);
    if (!traffic) continue;
    add("proxy_connections", cluster, traffic.connections);
    for (const direction of ["inbound", "outbound"] as const) {
      const labels = `${cluster},direction=${quoted(direction)}`;
      add("proxy_requests_per_second", labels, traffic[direction].requestsPerSecond);
      add("proxy_errors_per_second", labels, traffic[direction].errorsPerSecond);
    }
  }
  return figures;
}
