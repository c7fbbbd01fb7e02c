import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { command } from "#runtime/command.ts";
import { inside } from "#runtime/namespace.ts";
import { connectInside } from "#runtime/namespace-socket.ts";
import { dnsPort } from "../dns/service.ts";
import { proxyGroup } from "../layout.ts";

/** Resolvers take no more from their file. */
const mostServers = 3;

/** The name servers of a Pod, of IPv4, by the file of the process that holds its namespaces; programs of the Pod cannot write that. */
export function nameServersOf(pid: number): readonly string[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/root/etc/resolv.conf`, "utf8");
  } catch {
    return [];
  }
  const named = text.split("\n").flatMap((line) => /^nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  return named.filter((address) => isIPv4(address)).slice(0, mostServers);
}

/** Holds the rules by which questions about names go to the agent's name server: apart from those of capture, which come and go otherwise. */
const chain = "WEFT_NAMES";
const calls = ["udp", "tcp"].map((protocol) => `OUTPUT -p ${protocol} -m ${protocol} --dport 53 -j ${chain}`);

/** Rules for `iptables-restore`. */
function nameRules(servers: readonly string[]): string {
  const redirects = servers.flatMap((server) =>
    ["udp", "tcp"].map((protocol) => `-A ${chain} -d ${server}/32 -p ${protocol} -j REDIRECT --to-ports ${dnsPort}`),
  );
  const own = `-A ${chain} -m owner --gid-owner ${proxyGroup} -j RETURN`;
  return ["*nat", `:${chain} - [0:0]`, ...calls.map((call) => `-I ${call}`), own, ...redirects, "COMMIT", ""].join(
    "\n",
  );
}

async function isThere(network: string): Promise<boolean> {
  return (await command(inside(network, ["iptables-save", "-t", "nat"]))).includes(`:${chain} `);
}

const restore = async (network: string, input: string): Promise<string> =>
  command(inside(network, ["iptables-restore", "--noflush", "--wait"]), { input });

/**
 * Has a Pod's questions to its name servers go to the agent's, unless they do already.
 * @throws WeftError `Unavailable` while that does not serve the Pod.
 */
export async function captureNames(network: string, servers: readonly string[]): Promise<void> {
  const socket = await connectInside(network, { host: "127.0.0.1", port: dnsPort });
  socket.destroy();
  if (!(await isThere(network))) await restore(network, nameRules(servers));
}

/** Takes that back. */
export async function releaseNames(network: string): Promise<void> {
  if (!(await isThere(network))) return;
  const lines = [...calls.map((call) => `-D ${call}`), `-F ${chain}`, `-X ${chain}`];
  await restore(network, ["*nat", ...lines, "COMMIT", ""].join("\n"));
}
