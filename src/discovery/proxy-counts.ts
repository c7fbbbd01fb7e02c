import type { ProxyCounts } from "#status/mesh.ts";

type Numbers = Exclude<keyof ProxyCounts, "clusters">;
type Cluster = Pick<ProxyCounts, "connected" | "inSync">;

function numberIn(from: unknown, name: Numbers): number {
  const value: unknown = (from as Partial<Record<Numbers, unknown>> | null)?.[name];
  return Number.isSafeInteger(value) ? Number(value) : 0;
}

function clusterCounts(from: unknown): Cluster {
  return { connected: numberIn(from, "connected"), inSync: numberIn(from, "inSync") };
}

/** Counts as text, for other replicas. */
export function printCounts(counts: ProxyCounts): string {
  return JSON.stringify({ ...counts, clusters: Object.fromEntries(counts.clusters) });
}

/** Counts as another replica told them; what cannot be read is none. */
export function parseCounts(text: string | undefined): ProxyCounts {
  let told: unknown;
  try {
    told = JSON.parse(text ?? "null");
  } catch {
    told = undefined;
  }
  const { clusters } = (told ?? {}) as { readonly clusters?: unknown };
  return {
    ...clusterCounts(told),
    refusing: numberIn(told, "refusing"),
    misbehaving: numberIn(told, "misbehaving"),
    clusters: new Map(Object.entries(clusters ?? {}).map(([name, counts]) => [name, clusterCounts(counts)])),
  };
}

/** The counts of two replicas together. */
export function sumCounts(one: ProxyCounts, other: ProxyCounts): ProxyCounts {
  const clusters = new Map(one.clusters);
  for (const [name, { connected, inSync }] of other.clusters) {
    const before = clusters.get(name) ?? { connected: 0, inSync: 0 };
    clusters.set(name, { connected: before.connected + connected, inSync: before.inSync + inSync });
  }
  return {
    connected: one.connected + other.connected,
    inSync: one.inSync + other.inSync,
    refusing: one.refusing + other.refusing,
    misbehaving: one.misbehaving + other.misbehaving,
    clusters,
  };
}
