import type { ClusterStandings, ProxyNode, ProxyStandings } from "./port.ts";

/** What is counted of a proxy. */
interface Standing {
  readonly node: ProxyNode | undefined;
  standing(): "SYNCED" | "STALE" | "NACKED";
}

/** Clusters that are counted apart; what proxies say of themselves is no reason to count without end. */
const mostClusters = 128;
/** A cluster's name is a label of DNS. */
const longestName = 63;

function clusterName({ node }: Standing, known: ReadonlyMap<string, unknown>): string {
  const name = node?.metadata["CLUSTER_ID"];
  if (typeof name !== "string" || name.length > longestName) return "";
  return known.has(name) || known.size < mostClusters ? name : "";
}

/** How proxies stand, in numbers: all together, and by cluster. */
export function standingsOf(proxies: Iterable<Standing>): ProxyStandings {
  const totals = { connected: 0, inSync: 0, refusing: 0 };
  const clusters = new Map<string, { connected: number; inSync: number }>();
  for (const proxy of proxies) {
    const standing = proxy.standing();
    const name = clusterName(proxy, clusters);
    const counts = clusters.get(name) ?? { connected: 0, inSync: 0 };
    clusters.set(name, counts);
    totals.connected += 1;
    counts.connected += 1;
    if (standing === "SYNCED") {
      totals.inSync += 1;
      counts.inSync += 1;
    } else if (standing === "NACKED") totals.refusing += 1;
  }
  return { ...totals, clusters: clusters satisfies ReadonlyMap<string, ClusterStandings> };
}
