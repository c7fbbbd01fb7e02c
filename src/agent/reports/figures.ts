import type { InboundCounts } from "#api/weft/proxy-report.ts";
import { WeftError } from "#base/errors.ts";

/** Asks a proxy's administration interface for a page. @throws WeftError `Unavailable` when it does not answer with 200. */
export type AskAdmin = (path: string) => Promise<string>;

/** Requests and answers of the class 5xx, since Envoy started. */
export interface Requests {
  readonly all: number;
  readonly failed: number;
}

/** What an Envoy says of itself. */
export interface Figures {
  readonly connections: number;
  readonly inbound: Requests;
  readonly outbound: Requests;
  /** What an upgrade is judged by. */
  readonly counts: InboundCounts;
  readonly clusters: number;
  readonly listeners: number;
}

/** The statistics that are read, of those that bootstraps have Envoy keep. */
const filter = [
  String.raw`^server\.total_connections$`,
  String.raw`^cluster_manager\.active_clusters$`,
  String.raw`^listener_manager\.total_listeners_active$`,
  String.raw`^http\.(inbound|outbound)_.*downstream_rq_(total|\dxx)$`,
  String.raw`^http\.inbound_.*downstream_rq_(rx_reset|time)$`,
  String.raw`update_rejected$`,
].join("|");

/** How many requests took at most so long: `B0.5(NEW,ALL) B1(NEW,ALL)`. */
function timesIn(stats: string): Readonly<Record<string, number>> {
  const within: Record<string, number> = {};
  for (const [, buckets = ""] of stats.matchAll(/^http\.inbound_.*downstream_rq_time: (B.*)$/gm)) {
    for (const [, most = "", count = "0"] of buckets.matchAll(/B([\d.e+]+)\(\d+,(\d+)\)/g))
      within[most] = (within[most] ?? 0) + Number(count);
  }
  return within;
}

/** What is counted of inbound requests that an upgrade is judged by; Envoy counts every stream that is reset at `rx_reset`. */
function countsIn(stats: string): InboundCounts {
  let [all, failed, refused] = [0, 0, 0];
  for (const [, name = "", text = "0"] of stats.matchAll(/^(.+): (\d+)$/gm)) {
    const value = Number(text);
    if (name.endsWith("update_rejected")) refused += value;
    const [, kind] = /^http\.inbound_.*downstream_rq_(\dxx|rx_reset)$/.exec(name) ?? [];
    if (kind !== undefined) all += value;
    if (kind === "5xx" || kind === "rx_reset") failed += value;
  }
  return { all, failed, refused, within: timesIn(stats) };
}

/** A list of statistics as Envoy prints them, `name: value`. */
export function readFigures(stats: string): Figures {
  const sums = new Map<string, number>();
  for (const line of stats.split("\n")) {
    const [, name = "", value = ""] = /^(.+): (\d+)$/.exec(line) ?? [];
    if (name === "") continue;
    const [, direction, kind] = /^http\.(inbound|outbound)_.*downstream_rq_(total|5xx)$/.exec(name) ?? [];
    const key = direction === undefined ? name : `${direction} ${kind}`;
    sums.set(key, (sums.get(key) ?? 0) + Number(value));
  }
  const of = (key: string): number => sums.get(key) ?? 0;
  return {
    connections: of("server.total_connections"),
    inbound: { all: of("inbound total"), failed: of("inbound 5xx") },
    outbound: { all: of("outbound total"), failed: of("outbound 5xx") },
    counts: countsIn(stats),
    clusters: of("cluster_manager.active_clusters"),
    listeners: of("listener_manager.total_listeners_active"),
  };
}

/** Asks an Envoy how it does. @throws WeftError as `ask` does. */
export async function figuresOf(ask: AskAdmin): Promise<Figures> {
  return readFigures(await ask(`/stats?histogram_buckets=cumulative&filter=${encodeURIComponent(filter)}`));
}

/** Asks an Envoy for its version, such as `1.40.0`. @throws WeftError as `ask` does. */
export async function versionOf(ask: AskAdmin): Promise<string> {
  const { version = "" } = JSON.parse(await ask("/server_info")) as { readonly version?: string };
  // HASH/1.40.0/Clean/RELEASE/BoringSSL
  const [, number] = version.split("/");
  if (number === undefined) throw new WeftError("Unavailable", `the proxy tells no version: ${version}`);
  return number;
}

/** Whether an Envoy has its listeners and clusters. */
export async function isReady(ask: AskAdmin): Promise<boolean> {
  return ask("/ready").then(
    () => true,
    () => false,
  );
}
