import { formatAge } from "#base/duration.ts";
import { table } from "../table.ts";
import type { DemoInfo, DemoStatus, WorkloadStatus } from "./status.ts";

const colours = { red: 31, green: 32, yellow: 33, bold: 1, dim: 2 } as const;

function paint(colour: keyof typeof colours, text: string): string {
  return `\u001B[${colours[colour]}m${text}\u001B[0m`;
}

function health(good: boolean, text: string): string {
  return paint(good ? "green" : "red", text);
}

/** One line a workload name: how many are ready in each cluster. */
function workloadLines(workloads: readonly WorkloadStatus[]): string {
  const clusters = [...new Set(workloads.map((one) => one.cluster))].toSorted();
  const names = [...new Set(workloads.map((one) => `${one.namespace}/${one.name}`))].toSorted();
  const cell = (name: string, cluster: string): string => {
    const found = workloads.find((one) => `${one.namespace}/${one.name}` === name && one.cluster === cluster);
    return found ? health(found.ready === found.desired, `${found.ready}/${found.desired}`) : paint("dim", "-");
  };
  return table(
    ["WORKLOAD", ...clusters.map((cluster) => cluster.toUpperCase())],
    names.map((name) => [name, ...clusters.map((cluster) => cell(name, cluster))]),
  );
}

function proxyLine({ proxies }: DemoStatus): string {
  if (!proxies) return paint("yellow", "control plane is away; proxies keep serving");
  const { connected, synced, stale, refusing } = proxies;
  const others = [stale > 0 ? `${stale} behind` : "", refusing > 0 ? `${refusing} refusing` : ""].filter(Boolean);
  return health(synced === connected, [`${synced} of ${connected} in sync`, ...others].join(", "));
}

function loadLine({ load }: DemoStatus): string {
  if (!load) return paint("dim", "no load");
  const rates = `${load.perSecond} of ${load.target} requests/s   P50 ${load.p50Ms} ms   P99 ${load.p99Ms} ms`;
  return `${rates}   ${health(load.errorsPerSecond === 0, `${load.errorsPerSecond} errors/s`)}   ${load.errors} errors in ${load.requests} requests`;
}

function serviceLine({ services }: DemoStatus): string {
  return services
    .map(({ name, pid, restarts }) => {
      const text = restarts > 0 ? `${name} (restarted ${restarts}x)` : name;
      return health(pid !== undefined, text);
    })
    .join("  ");
}

/**
 * The one-screen live status.
 * @param rows height of the terminal; the oldest events give way first.
 */
export function screen(info: DemoInfo, status: DemoStatus, rows: number): string {
  const head = [
    `${paint("bold", "Weft demo")}  ${info.gateway}  up ${formatAge(status.upSeconds * 1000)}  ${paint("dim", "Ctrl-C ends and removes everything")}`,
    "",
    `PROCESSES  ${serviceLine(status)}`,
    `PROXIES    ${proxyLine(status)}`,
    `LOAD       ${loadLine(status)}`,
    "",
    ...workloadLines(status.workloads).trimEnd().split("\n"),
    "",
  ];
  const room = Math.max(0, rows - head.length - 1);
  return [...head, ...status.events.slice(room === 0 ? status.events.length : -room)].join("\n");
}

/** The same as one plain line, for logs. */
export function plainLine(status: DemoStatus): string {
  const ready = status.workloads.filter((one) => one.ready === one.desired).length;
  const proxies = status.proxies
    ? `${status.proxies.synced}/${status.proxies.connected} proxies in sync`
    : "control plane away";
  const load = status.load
    ? `${status.load.perSecond} requests/s, ${status.load.errorsPerSecond} errors/s, P99 ${status.load.p99Ms} ms`
    : "no load";
  return `${ready}/${status.workloads.length} workloads ready, ${proxies}, ${load}`;
}
