import { formatAge } from "#base/duration.ts";
import type { ProxyObject } from "#discovery/proxy-object.ts";
import { proxyName } from "../proxy/proxies.ts";
import { table } from "../table.ts";

const header = [
  "PROXY",
  "CLUSTER",
  "TYPE",
  "PHASE",
  "SYNCED",
  "BEHIND",
  "RESTARTS",
  "CERTIFICATE",
  "REVISION",
  "ENVOY",
  "AGENT",
];

function row(proxy: ProxyObject, now: number): readonly string[] {
  const { spec, status } = proxy;
  const states = Object.values(status.types);
  const { unacknowledgedSince: behind, certificateNotAfter: end } = status;
  return [
    proxyName(proxy),
    spec.cluster,
    spec.type,
    status.phase,
    `${states.filter(({ state }) => state === "SYNCED").length}/${states.length}`,
    behind === undefined ? "-" : formatAge(now - Date.parse(behind)),
    String(status.process?.restarts ?? "-"),
    end === undefined ? (status.certificate?.state ?? "-") : formatAge(Date.parse(end) - now),
    status.revision ?? "-",
    spec.envoyVersion === "" ? "-" : spec.envoyVersion,
    status.agent?.version ?? "-",
  ];
}

function notes(proxy: ProxyObject, now: number): readonly string[] {
  const { process, types, silent, findings = [] } = proxy.status;
  const name = proxyName(proxy);
  const exit = process?.lastExit;
  const refusals = Object.entries(types).flatMap(([type, { state, message }]) =>
    state === "NACKED" ? [`${name} refuses ${type}: ${message ?? "without a reason"}`] : [],
  );
  return [
    ...(exit && (process.restarts > 0 || proxy.status.phase === "Restarting")
      ? [`${name}: ${exit.reason} ${formatAge(now - Date.parse(exit.at))} ago`]
      : []),
    ...(silent === undefined ? [] : [`${name} does not say how it stands: ${silent}`]),
    ...refusals,
    ...findings.map(({ code, message }) => `${name}: ${code}: it ${message}`),
  ];
}

/** Proxies as a table, and below what is wrong. */
export function listText(proxies: readonly ProxyObject[], now: number): string {
  const listed = table(
    header,
    proxies.map((proxy) => row(proxy, now)),
  );
  const said = proxies.flatMap((proxy) => notes(proxy, now)).map((line) => `${line}\n`);
  return said.length === 0 ? listed : `${listed}\n${said.join("")}`;
}
