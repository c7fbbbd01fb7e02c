import type { UpgradedSidecar } from "#api/weft/sidecar-upgrade.ts";
import type { InboundCounts } from "#api/weft/proxy-report.ts";
import { messageOf, WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";

/** The port of a proxy's administration, which tells its metrics, too. */
const metricsPort = 15000;
/** The names of what is read. */
const read = "(^http.inbound_.*downstream_rq_)|update_rejected";

/** What a proxy counted of its callers' requests and of its configuration. */
export interface ProxyCounts {
  /** Who says so; unset of several together. The two are of different times: one is not taken from the other. */
  readonly by?: "proxy" | "agent";
  readonly all: number;
  /**
   * Those of them that were answered with 5xx or reset. Envoy counts each stream that is reset at `downstream_rq_rx_reset`, whoever
   * did it: a caller that gives up or is gone, the proxy that has lost the application, a connection that is closed too early.
   */
  readonly failed: number;
  /** Configurations that it refused. */
  readonly refused: number;
  /** How many took at most so many milliseconds. */
  readonly within: ReadonlyMap<number, number>;
}

/** Nothing counted. */
const noCounts: ProxyCounts = { all: 0, failed: 0, refused: 0, within: new Map() };

/** Reads them of metrics in Prometheus' form: requests are those of inbound listeners. */
export function proxyCounts(metrics: string): ProxyCounts {
  let [all, failed, refused] = [0, 0, 0];
  const within = new Map<number, number>();
  for (const line of metrics.split("\n")) {
    const [, name = "", labels = "", text = "0"] = /^envoy_(\w+)(?:\{([^}]*)\})? (\d+)$/.exec(line) ?? [];
    const value = Number(text);
    if (name.endsWith("update_rejected")) refused += value;
    // The listener's name is a part of the metric's, or a label where somebody's settings make it one.
    const listener =
      /http_conn_manager_prefix="([^"]*)"/.exec(labels)?.[1] ?? /^http_(\w+)_downstream_rq/.exec(name)?.[1];
    if (listener?.startsWith("inbound_") !== true) continue;
    if (name.endsWith("downstream_rq_time_bucket")) {
      const most = Number(/(?:^|,)le="([^"]+)"/.exec(labels)?.[1]?.replace("+Inf", "Infinity"));
      within.set(most, (within.get(most) ?? 0) + value);
      continue;
    }
    if (name.endsWith("downstream_rq_rx_reset")) {
      all += value;
      failed += value;
      continue;
    }
    const code = /(?:envoy_)?response_code_class="(\d)xx"/.exec(labels)?.[1];
    if (code === undefined || !/downstream_rq(?:_xx)?$/.test(name)) continue;
    all += value;
    if (code === "5") failed += value;
  }
  return { by: "proxy", all, failed, refused, within };
}

/** The counts that an agent told: none took longer than the longest time that Envoy knows. */
function toldCounts({ all, failed, refused, within }: InboundCounts): ProxyCounts {
  const times = Object.entries(within).map(([most, count]) => [Number(most), count] as const);
  if (times.length > 0) times.push([Infinity, Math.max(...times.map(([, count]) => count))]);
  return { by: "agent", all, failed, refused, within: new Map(times) };
}

/** Whose counts are read. */
type Counted = Pick<UpgradedSidecar, "cluster" | "namespace" | "pod">;

/** Where counts are read. */
export interface CountSources {
  /** The API of a cluster; undefined while it was not reached. */
  readonly member: (name: string) => Client | undefined;
  /** What the proxy's agent told this control plane last. */
  readonly told: (sidecar: Counted) => InboundCounts | undefined;
}

/**
 * Reads them of the proxy itself through the API of its cluster, or takes what its agent told last where that does not reach it: a
 * kubelet's way to a Pod leads past its loopback, where the administration is.
 * @throws WeftError `Unavailable` where neither is there.
 */
export async function countsOf({ member, told }: CountSources, sidecar: Counted): Promise<ProxyCounts> {
  try {
    const client = member(sidecar.cluster);
    if (!client) throw new WeftError("Unavailable", "its cluster was not reached");
    return await readCounts(client, sidecar.namespace, sidecar.pod);
  } catch (error) {
    const counts = told(sidecar);
    if (counts) return toldCounts(counts);
    const why = `${messageOf(error)}; and no agent tells this control plane what it counts`;
    throw new WeftError("Unavailable", why, error);
  }
}

async function readCounts(client: Client, namespace: string, pod: string): Promise<ProxyCounts> {
  const admin = `/api/v1/namespaces/${namespace}/pods/${pod}:${metricsPort}/proxy`;
  const path = `${admin}/stats/prometheus?filter=${encodeURIComponent(read)}`;
  return proxyCounts((await client.bytes({ method: "GET", path })).toString("utf8"));
}

function combined(one: ProxyCounts, other: ProxyCounts, sign: 1 | -1): ProxyCounts {
  const bounds = new Set([...one.within.keys(), ...other.within.keys()]);
  const within = [...bounds].map((most) => {
    const count = (one.within.get(most) ?? 0) + sign * (other.within.get(most) ?? 0);
    return [most, Math.max(count, 0)] as const;
  });
  return {
    all: one.all + sign * other.all,
    failed: one.failed + sign * other.failed,
    refused: one.refused + sign * other.refused,
    within: new Map(within),
  };
}

/** What was counted since; a proxy's new process begins at nothing. */
export function since(before: ProxyCounts, now: ProxyCounts): ProxyCounts {
  if (now.all < before.all || now.failed < before.failed) return now;
  return combined(now, before, -1);
}

/** What several proxies counted. */
export function total(counts: readonly ProxyCounts[]): ProxyCounts {
  return counts.reduce((sum, each) => combined(sum, each, 1), noCounts);
}

/** How many requests have a time. */
export function timed({ within }: ProxyCounts): number {
  return within.get(Infinity) ?? 0;
}

/** The milliseconds within which a share of requests was answered, in a straight line between the bounds that proxies count by. */
export function quantile(counts: ProxyCounts, share: number): number {
  const wanted = timed(counts) * share;
  let [low, below] = [0, 0];
  for (const [high, count] of [...counts.within].toSorted(([a], [b]) => a - b)) {
    if (count >= wanted && count > below) {
      if (high === Infinity) return low;
      return low + ((high - low) * (wanted - below)) / (count - below);
    }
    [low, below] = [high, count];
  }
  return low;
}
