import type { InboundCounts } from "#api/weft/proxy-report.ts";
import { nodeParts } from "../proxy-object.ts";
import type { ProxyReports } from "./reports.ts";

/** What agents that are there told of their proxies' requests, by Pod. */
export function countsTold(reports: Pick<ProxyReports, "all">) {
  return (proxy: {
    readonly cluster: string;
    readonly namespace: string;
    readonly pod: string;
  }): InboundCounts | undefined => {
    for (const { node, report, live } of reports.all()) {
      if (!live || node.cluster !== proxy.cluster || !node.id.includes(proxy.pod)) continue;
      const { pod, namespace } = nodeParts(node.id);
      if (pod === proxy.pod && namespace === proxy.namespace) return report.inbound;
    }
    return undefined;
  };
}
