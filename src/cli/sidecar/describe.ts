import { formatAge } from "#base/duration.ts";
import type { ProxyObject, TypeObject } from "#discovery/proxy-object.ts";
import { proxyName } from "../proxy/proxies.ts";
import { table } from "../table.ts";
import { bytesText, cpuText, untilText } from "./words.ts";

type Line = readonly [name: string, value: string];

function ago(since: string | undefined, now: number): string {
  return since === undefined ? "-" : `${formatAge(now - Date.parse(since))} ago`;
}

function agentLines({ status: { agent, hijack } }: ProxyObject, now: number): readonly Line[] {
  const gone = agent && !agent.live ? ", and is gone" : "";
  const told = agent ? `${agent.version}, told ${ago(agent.reportedAt, now)}${gone}` : "none tells of it";
  const why = hijack && hijack.message !== "" ? `: ${hijack.message}` : "";
  return [["Agent", told], ...(hijack ? [["Hijack", `${hijack.state}${why}`] as const] : [])];
}

function processLines({ spec, status }: ProxyObject, now: number): readonly Line[] {
  const { process, silent, drainingSince, usage } = status;
  const { startedAt, restarts, lastExit, waiting } = process ?? {};
  const lines: (Line | undefined)[] = [
    ["Envoy", spec.envoyVersion === "" ? "-" : spec.envoyVersion],
    startedAt === undefined ? undefined : ["Started", ago(startedAt, now)],
    restarts === undefined ? undefined : ["Restarts", String(restarts)],
    lastExit && ["Last exit", `${lastExit.reason} (${ago(lastExit.at, now)})`],
    waiting === undefined ? undefined : ["Waiting", waiting],
    silent === undefined ? undefined : ["Silent", silent],
    drainingSince === undefined ? undefined : ["Draining", `since ${ago(drainingSince, now)}`],
    usage && ["CPU", cpuText(usage.cpuMillis)],
    usage && ["Memory", bytesText(usage.memoryBytes)],
  ];
  return lines.filter((line) => line !== undefined);
}

function trafficLines({ status: { traffic } }: ProxyObject): readonly Line[] {
  if (!traffic) return [];
  const direction = ({ requestsPerSecond, errorsPerSecond }: typeof traffic.inbound): string =>
    `${requestsPerSecond} requests/s, ${errorsPerSecond} errors/s`;
  return [
    ["Connections", String(traffic.connections)],
    ["Inbound", direction(traffic.inbound)],
    ["Outbound", direction(traffic.outbound)],
  ];
}

function configurationLines({ status }: ProxyObject, now: number): readonly Line[] {
  const { configuration, endpoints, certificate, certificateNotAfter: end, connectedAt, discovery, outside } = status;
  const { unacknowledgedSince: behind } = status;
  const lines: (Line | undefined)[] = [
    ["Connected", connectedAt === undefined ? "no" : ago(connectedAt, now)],
    discovery && [
      "Discovery",
      discovery.reason === undefined ? discovery.mode : `${discovery.mode}: ${discovery.reason}`,
    ],
    behind === undefined ? undefined : ["Behind", `has not taken a change that was made ${ago(behind, now)}`],
    endpoints && [
      "Endpoints",
      `${endpoints.state}: Envoy holds ${endpoints.addresses} addresses of ${endpoints.clusters} clusters`,
    ],
    configuration && ["Holds", `${configuration.clusters} clusters, ${configuration.listeners} listeners`],
    certificate && [
      "Certificate",
      `${certificate.state}${end === undefined ? "" : `, ${untilText(end, now)}`}: ${certificate.message}`,
    ],
    outside === undefined ? undefined : ["Outside", outside],
  ];
  return lines.filter((line) => line !== undefined);
}

/** The clusters whose addresses have long differed from those that Envoy is to hold. */
function staleNotes({ status: { endpoints } }: ProxyObject, now: number): readonly string[] {
  return (endpoints?.stale ?? []).map(({ cluster, since, surplus = [], missing = [] }) => {
    const parts = [
      ...(surplus.length > 0 ? [`Envoy has ${surplus.join(", ")} too many`] : []),
      ...(missing.length > 0 ? [`lacks ${missing.join(", ")}`] : []),
    ];
    const which = parts.length > 0 ? parts.join(" and ") : "which addresses is not known yet";
    return `endpoints of ${cluster} are stale for ${formatAge(now - Date.parse(since))}: ${which}\n`;
  });
}

function typeRow([type, of]: readonly [string, TypeObject], now: number): readonly string[] {
  const { state, since, version, resources, bytes } = of;
  return [
    type,
    state,
    formatAge(now - Date.parse(since)),
    String(resources ?? "-"),
    bytes === undefined ? "-" : bytesText(bytes),
    version === "" ? "-" : version,
  ];
}

/** All that is known of a proxy, for people. */
export function describeText(proxy: ProxyObject, now: number): string {
  const { status } = proxy;
  const lines: readonly Line[] = [
    ["Name", proxyName(proxy)],
    ["Cluster", proxy.spec.cluster],
    ["Type", proxy.spec.type],
    ["Address", proxy.spec.address],
    ["Phase", status.phase],
    ...processLines(proxy, now),
    ...agentLines(proxy, now),
    ...configurationLines(proxy, now),
    ...trafficLines(proxy),
  ];
  const widest = Math.max(...lines.map(([name]) => name.length));
  const head = lines.map(([name, value]) => `${`${name}:`.padEnd(widest + 3)}${value}\n`).join("");
  const types = Object.entries(status.types);
  const rows = types.map((each) => typeRow(each, now));
  const listed =
    rows.length === 0 ? "" : `\n${table(["TYPE", "STATE", "FOR", "RESOURCES", "SIZE", "ACKNOWLEDGED"], rows)}`;
  const refusals = types.flatMap(([type, { state, message, since }]) =>
    state === "NACKED"
      ? [`refuses ${type} for ${formatAge(now - Date.parse(since))}: ${message ?? "without a reason"}\n`]
      : [],
  );
  const findings = (status.findings ?? []).map(
    ({ code, message, count }) => `${code}: it ${message} (${count} times)\n`,
  );
  const notes = [...refusals, ...staleNotes(proxy, now), ...findings];
  return `${head}${listed}${notes.length === 0 ? "" : `\n${notes.join("")}`}`;
}
