import { isIPv4 } from "node:net";
import { command } from "#runtime/command.ts";
import { inside } from "#runtime/namespace.ts";
import { type OpenConnection, readConnections } from "./open-connections.ts";

function tablesOf(rules: string): readonly string[] {
  return rules.split(/^(?=\*)/m).filter((table) => table !== "");
}

const nameOf = (table: string): string => table.slice(1, table.indexOf("\n"));

/** What undoes rules: only those that they added, whatever else is in the tables. */
export function removalOf(rules: string): string {
  return tablesOf(rules)
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

/** Holds what passes by the rules of capture: connections that are older than they. */
const older = "WEFT_OLDER";

/** The kernel tracks a network's connections while some rule asks for their state, and no longer. */
const tracking = `-A ${older} -m conntrack --ctstate UNTRACKED -j RETURN`;

/**
 * Has the kernel track a network's connections from now on. Without, each connection that is there already would look like a new one to
 * rules of capture, which would lead its next packet to a proxy that knows nothing of it; and captured ones would be lost with the rules.
 */
export async function trackConnections(network: string): Promise<void> {
  const text = await command(inside(network, ["iptables-save", "-t", "nat"]));
  if (text.includes(`:${older} `)) return;
  const calls = ["PREROUTING", "OUTPUT"].map((chain) => `-I ${chain} 1 -p tcp -j ${older}`);
  await restore(network, ["*nat", `:${older} - [0:0]`, tracking, ...calls, "COMMIT", ""].join("\n"));
}

/** Rules by which exactly these connections pass by the rules of capture. */
export function passing(connections: readonly OpenConnection[]): string {
  const each = connections
    .map(({ local, remote }) => [local.split(":"), remote.split(":")] as const)
    .filter((ends) => ends.every(([address = ""]) => isIPv4(address)))
    .flatMap((ends) =>
      [ends, ends.toReversed()].map(([from, to]) => {
        const [[source, sport], [target, dport]] = [from ?? [], to ?? []];
        return `-A ${older} -s ${source}/32 -d ${target}/32 -p tcp -m tcp --sport ${sport} --dport ${dport} -j ACCEPT`;
      }),
    );
  // The kernel's table has both ends of a connection within the Pod.
  return ["*nat", `:${older} - [0:0]`, tracking, ...new Set(each), "COMMIT", ""].join("\n");
}

/** Has exactly these connections pass by the rules of capture. */
export async function passBy(network: string, connections: readonly OpenConnection[]): Promise<void> {
  await restore(network, passing(connections));
}

/** Ends what `trackConnections` began, once the proxy has no connections. */
export async function forgetConnections(network: string): Promise<void> {
  const text = await command(inside(network, ["iptables-save", "-t", "nat"]));
  if (!text.includes(`:${older} `)) return;
  const calls = ["PREROUTING", "OUTPUT"].map((chain) => `-D ${chain} -p tcp -j ${older}`);
  await restore(network, ["*nat", ...calls, `-F ${older}`, `-X ${older}`, "COMMIT", ""].join("\n"));
}

async function restore(network: string, input: string): Promise<void> {
  await command(inside(network, ["iptables-restore", "--noflush", "--wait"]), { input });
}

/** The connections of a network namespace. */
export async function openConnections(network: string): Promise<readonly OpenConnection[]> {
  const read = "cat /proc/self/net/tcp; cat /proc/self/net/tcp6 2>/dev/null || true";
  return readConnections(await command(inside(network, ["sh", "-c", read])));
}

/** Whether rules of capture are in force in a table of a network namespace. */
async function isCaptured(network: string, table: string): Promise<boolean> {
  const text = await command(inside(network, ["iptables-save", "-t", table]));
  return /^:ISTIO_/m.test(text);
}

/** Puts rules in force beside whatever else is there, as one change. Those in force already stay. */
export async function capture(network: string, rules: string): Promise<void> {
  const tables = tablesOf(rules);
  const there = await Promise.all(tables.map(async (table) => isCaptured(network, nameOf(table))));
  const missing = tables.filter((_, at) => there[at] !== true).join("");
  if (missing !== "") await restore(network, missing);
}

/** Captures nothing new any more. Connections that were captured stay so, as long as connections are tracked. */
export async function release(network: string, rules: string): Promise<void> {
  await trackConnections(network);
  const nat = tablesOf(rules).find((table) => nameOf(table) === "nat");
  if (nat !== undefined && (await isCaptured(network, "nat"))) await restore(network, removalOf(nat));
}

/** Takes back what `release` has left, once nothing is captured any more: answers of DNS find their way by it. */
export async function forget(network: string, rules: string): Promise<void> {
  const raw = tablesOf(rules).find((table) => nameOf(table) === "raw");
  if (raw !== undefined && (await isCaptured(network, "raw"))) await restore(network, removalOf(raw));
  await forgetConnections(network);
}
