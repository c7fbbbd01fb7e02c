import { existsSync, readdirSync, readFileSync } from "node:fs";
import { WeftError } from "#base/errors.ts";
import { command } from "#runtime/command.ts";

const interfaces = "/sys/class/net";
const filtering = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/** IPv4 by its number: its name would need a file of the image. */
const rule = (address: string): readonly string[] => ["-p", "0x0800", "--ip-source", address, "-j", "DROP"];
const ebtables = async (flag: string, ...more: readonly string[]): Promise<string> =>
  command(["ebtables", "--concurrent", "-t", "nat", flag, "PREROUTING", ...more]);

const hasBridges = (): boolean => readdirSync(interfaces).some((name) => existsSync(`${interfaces}/${name}/bridge`));

/** Whether what crosses bridges is seen by iptables, too. */
function isFiltered(): boolean {
  try {
    return readFileSync(filtering, "utf8").trim() === "1";
  } catch {
    return false;
  }
}

/**
 * Has bridges of the node drop what comes to them with a source address: what goes from one of their Pods to another, rules of routing
 * may never see.
 * @throws WeftError `FailedPrecondition` when there are bridges that neither take such a rule nor ask iptables.
 */
export async function guardBridges(address: string): Promise<void> {
  try {
    const rules = await ebtables("-L");
    if (!rules.includes(`--ip-src ${address} -j DROP`)) await ebtables("-I", ...rule(address));
  } catch (error) {
    if (!hasBridges() || isFiltered()) return;
    const fix = "install ebtables in the agent's image, or set net.bridge.bridge-nf-call-iptables=1 on the node";
    throw new WeftError("FailedPrecondition", `Pods of this node's bridges could forge probes: ${fix}`, error);
  }
}

/** Takes the rule back. */
export async function clearBridges(address: string): Promise<void> {
  await ebtables("-D", ...rule(address)).catch(() => "");
}
