import type { Holders } from "#status/conditions.ts";
import type { ProxyCounts } from "#status/mesh.ts";

/** Who holds what is said now, for statuses: clusters in the order of their names. */
export function holdersOf(proxies: Pick<ProxyCounts, "connected" | "inSync" | "clusters"> | undefined): Holders {
  const { connected = 0, inSync: holding = 0, clusters = new Map<string, never>() } = proxies ?? {};
  const each = [...clusters].map(([cluster, one]) => ({ cluster, proxies: one.connected, holding: one.inSync }));
  return { connected, holding, clusters: each.toSorted((one, other) => (one.cluster < other.cluster ? -1 : 1)) };
}
