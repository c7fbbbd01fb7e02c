import type { Pod } from "#api/kubernetes/pod.ts";
import { captureRules } from "#runtime/capture.ts";
import { command } from "#runtime/command.ts";
import { probeAddress } from "#runtime/fabric.ts";
import { inside } from "#runtime/namespace.ts";
import { captureOptions, interceptionMode } from "../capture-annotations.ts";
import { proxyUid } from "../layout.ts";

/**
 * The rules that capture a Pod's traffic, by its annotations; undefined for a Pod whose traffic is to be left alone. What the node's own
 * probes come from passes by the proxy.
 * @throws WeftError `InvalidArgument` for annotations that are wrong.
 */
export function managedRules(pod: Pod): string | undefined {
  if (interceptionMode(pod) === "NONE") return undefined;
  return captureRules(captureOptions(pod, { proxyId: proxyUid, probeSource: probeAddress }));
}

/** What undoes rules: only those that they added, whatever else is in the tables. */
export function removalOf(rules: string): string {
  const tables = rules.split(/^(?=\*)/m).filter((table) => table !== "");
  return tables
    .map((table) => {
      const lines = table.split("\n");
      const chains = lines.filter((line) => line.startsWith(":")).map((line) => line.slice(1, line.indexOf(" ")));
      const jumps = lines.filter((line) => /^-A (PREROUTING|INPUT|OUTPUT|POSTROUTING) /.test(line));
      return [
        lines[0],
        ...jumps.map((line) => line.replace("-A", "-D")),
        ...chains.map((chain) => `-F ${chain}`),
        ...chains.map((chain) => `-X ${chain}`),
        "COMMIT",
        "",
      ].join("\n");
    })
    .join("");
}

async function restore(network: string, input: string): Promise<void> {
  await command(inside(network, ["iptables-restore", "--noflush", "--wait"]), { input });
}

/** Whether rules of capture are in force in a network namespace. */
async function isCaptured(network: string): Promise<boolean> {
  const text = await command(inside(network, ["iptables-save", "-t", "nat"]));
  return /^:ISTIO_OUTPUT /m.test(text);
}

/** Puts rules in force beside whatever else is there, as one change. Those in force already stay. */
export async function capture(network: string, rules: string): Promise<void> {
  if (!(await isCaptured(network))) await restore(network, rules);
}

/** Takes rules back, as one change. Connections that were captured stay so. */
export async function release(network: string, rules: string): Promise<void> {
  if (await isCaptured(network)) await restore(network, removalOf(rules));
}
