import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { formatAge } from "#base/duration.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { type OutputFormat, outputOption, serialize } from "../output.ts";
import { table } from "../table.ts";
import { findingText, listFindings } from "./findings.ts";
import { type ProxyObject, listProxies, proxyName } from "./proxies.ts";

/** Types in the order in which Envoy takes them. */
const types = ["CDS", "EDS", "LDS", "RDS", "VHDS", "SDS", "NDS"] as const;
/** Those that every Envoy asks for; the others have a column where some proxy does. */
const always: ReadonlySet<string> = new Set(["CDS", "EDS", "LDS", "RDS"]);

/**
 * Proxies for programs: `{proxy, cluster, revision, types: {CDS: {state, version, since}}, discovery: {mode}, findings: [...],
 * certificate: {state, message}, outside, hijack: {state, message}}`.
 */
export function statusData(proxies: readonly ProxyObject[]): readonly object[] {
  return proxies.map((one) => {
    const { revision, types: states, discovery, findings, certificate, outside, hijack } = one.status;
    const served = { ...(revision !== undefined && { revision }), types: states, discovery };
    const own = { proxy: proxyName(one), cluster: one.spec.cluster, ...served };
    const told = { ...(certificate && { certificate }), ...(outside && { outside }), ...(hijack && { hijack }) };
    return { ...own, ...(findings && { findings }), ...told };
  });
}

/** Proxies as a table: a state for each type with its age, and below what is refused and why. */
export function statusTable(proxies: readonly ProxyObject[], now: number): string {
  const shown = types.filter((type) => always.has(type) || proxies.some(({ status }) => status.types[type]));
  const differ = proxies.some(
    ({ status: { discovery } }) => discovery.mode !== "All" || discovery.reason !== undefined,
  );
  const certified = proxies.some(({ status: { certificate } }) => certificate);
  const led = proxies.some(
    ({ status: { hijack } }) => hijack && (hijack.state !== "IPTables" || hijack.message !== ""),
  );
  const rows = proxies.map((one) => [
    proxyName(one),
    one.spec.cluster,
    ...shown.map((type) => {
      const found = one.status.types[type];
      return found ? `${found.state} (${formatAge(now - Date.parse(found.since))})` : "-";
    }),
    ...(differ ? [one.status.discovery.mode] : []),
    ...(certified ? [one.status.certificate?.state ?? "-"] : []),
    ...(led ? [one.status.hijack?.state ?? "-"] : []),
    one.status.revision ?? "-",
    one.spec.envoyVersion,
  ]);
  const refusals = proxies.flatMap((one) =>
    Object.entries(one.status.types).flatMap(([type, { state, message }]) =>
      state === "NACKED" ? [`${proxyName(one)} refuses ${type}: ${message ?? "without a reason"}\n`] : [],
    ),
  );
  const reasons = proxies.flatMap((one) => {
    const { reason } = one.status.discovery;
    return reason === undefined ? [] : [`${proxyName(one)} holds everything: ${reason}\n`];
  });
  const listed = table(
    [
      "PROXY",
      "CLUSTER",
      ...shown,
      ...(differ ? ["DISCOVERY"] : []),
      ...(certified ? ["CERTIFICATE"] : []),
      ...(led ? ["HIJACK"] : []),
      "REVISION",
      "ENVOY",
    ],
    rows,
  );
  const certificates = proxies.flatMap((one) => {
    const { state = "Valid", message = "" } = one.status.certificate ?? {};
    return state === "Valid" ? [] : [`${proxyName(one)} has a certificate that is ${state}: ${message}\n`];
  });
  const outside = proxies.flatMap((one) =>
    one.status.outside === undefined ? [] : [`${proxyName(one)}: ${one.status.outside}\n`],
  );
  const ways = proxies.flatMap((one) => {
    const { state = "", message = "" } = one.status.hijack ?? {};
    return message === "" ? [] : [`${proxyName(one)} is led by ${state}: ${message}\n`];
  });
  const notes = [...refusals, ...reasons, ...certificates, ...outside, ...ways];
  return notes.length === 0 ? listed : `${listed}\n${notes.join("")}`;
}

/** `weft proxy-status`. */
export function proxyStatusCommand(program: Command): void {
  withApiFlags(program.command("proxy-status").alias("ps"))
    .summary("show which proxies have the configuration that they should have")
    .description(
      "Shows each connected proxy and where it stands with each type of resource: SYNCED has the newest, STALE has been sent it and has not answered yet, NACKED refuses it. Below stands what proxies did lately that they should not, also those that are not connected any more.",
    )
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft proxy-status\n  weft proxy-status -o json")
    .action(async (flags: ApiFlags & { readonly output: OutputFormat }) => {
      using api = await openApi(flags);
      const proxies = await listProxies(api.client);
      const { output } = flags;
      if (output === "json" || output === "yaml") {
        process.stdout.write(serialize(statusData(proxies), output));
        return;
      }
      const now = systemClock.now();
      const findings = findingText(await listFindings(api.client), now);
      process.stdout.write(`${statusTable(proxies, now)}${findings === "" ? "" : `\n${findings}`}`);
    });
}
