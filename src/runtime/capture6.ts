import { networkInterfaces } from "node:os";
import { WeftError, messageOf } from "#base/errors.ts";
import type { CaptureOptions } from "./capture.ts";
import { command } from "./command.ts";

/** Makes a command line one that runs in the Pod's network. */
export type InNetwork = (argv: readonly [string, ...string[]]) => readonly [string, ...string[]];

/** Holds what is refused. */
const chain = "WEFT_IPV6";
const call = `INPUT -p tcp -m tcp --syn -j ${chain}`;

/**
 * Rules for `ip6tables-restore` by which new connections of IPv6 from elsewhere are refused at ports that capture leads to the proxy: it
 * takes none of IPv6, and past it they would be subject to no policy. Undefined where nothing inbound is captured.
 */
function refusalRules(options: CaptureOptions): string | undefined {
  const { includeInboundPorts: ports, excludeInboundPorts: excluded, excludeInterfaces, tunnelPort } = options;
  if (ports !== "*" && ports.length === 0) return undefined;
  const refuse = "-j REJECT --reject-with tcp-reset";
  const passed = ports === "*" ? [tunnelPort, ...excluded] : [tunnelPort];
  const refused = ports === "*" ? [""] : ports.map((port) => ` -m tcp --dport ${port}`);
  return [
    "*filter",
    `:${chain} - [0:0]`,
    ...["lo", ...excludeInterfaces].map((name) => `-A ${chain} -i ${name} -j RETURN`),
    ...passed.map((port) => `-A ${chain} -p tcp -m tcp --dport ${port} -j RETURN`),
    ...refused.map((which) => `-A ${chain} -p tcp${which} ${refuse}`),
    `-I ${call}`,
    "COMMIT",
    "",
  ].join("\n");
}

/** Lines of `/proc/net/if_inet6`: address, interface's number, length, scope, flags, interface. Scope 0 is global. */
function isGlobal(line: string): boolean {
  const [, , , scope, , name] = line.trim().split(/\s+/);
  return scope === "00" && name !== "lo";
}

async function isThere(at: InNetwork): Promise<boolean> {
  return (await command([...at(["ip6tables-save", "-t", "filter"])])).includes(`:${chain} `);
}

async function restore(at: InNetwork, input: string): Promise<void> {
  await command([...at(["ip6tables-restore", "--noflush", "--wait"])], { input });
}

/** The Pod's addresses of IPv6, as the kernel lists them. */
async function addressesOf(at: InNetwork): Promise<readonly string[]> {
  const text = await command([...at(["sh", "-c", "cat /proc/self/net/if_inet6 2>/dev/null || true"])]);
  return text.split("\n").filter((line) => line !== "");
}

/**
 * Has connections of IPv6 refused that capture would lead to the proxy, where the Pod has IPv6.
 * @returns whether they are.
 * @throws WeftError `FailedPrecondition` where that cannot be done and the Pod has addresses that others route to.
 */
export async function refuseIPv6(at: InNetwork, options: CaptureOptions): Promise<boolean> {
  const rules = refusalRules(options);
  if (rules === undefined) return false;
  const addresses = await addressesOf(at);
  if (addresses.length === 0) return false;
  try {
    if (!(await isThere(at))) await restore(at, rules);
    return true;
  } catch (error) {
    if (!addresses.some(isGlobal)) return false;
    const fix = "its image needs ip6tables-restore and ip6tables-save, and the kernel the table filter of IPv6";
    throw new WeftError(
      "FailedPrecondition",
      `the Pod's connections of IPv6 cannot be refused: ${fix}: ${messageOf(error)}`,
      error,
    );
  }
}

/** Takes that back. */
export async function acceptIPv6(at: InNetwork): Promise<void> {
  if (!(await isThere(at))) return;
  const lines = [`-D ${call}`, `-F ${chain}`, `-X ${chain}`];
  await restore(at, ["*filter", ...lines, "COMMIT", ""].join("\n"));
}

/** What the proxy's connections of IPv6 to its own Pod come from: an address of loopback, which says as well that they are led to it. */
const passthrough = "::6";

const leads = "-p tcp -m tcp --syn -j ISTIO_INBOUND";

/**
 * Rules for `ip6tables-restore` by which new inbound connections of IPv6 are led to the proxy, as those of IPv4 are by `captureRules`. What
 * the Pod itself calls is left alone. Undefined where nothing inbound is captured.
 */
function inboundRules(options: CaptureOptions): string | undefined {
  const { includeInboundPorts: ports, excludeInboundPorts: excluded, excludeInterfaces, tunnelPort } = options;
  if (ports !== "*" && ports.length === 0) return undefined;
  const passed = ports === "*" ? [tunnelPort, ...excluded] : [tunnelPort];
  const led = ports === "*" ? [""] : ports.map((port) => ` --dport ${port}`);
  return [
    "*nat",
    ":ISTIO_INBOUND - [0:0]",
    ":ISTIO_IN_REDIRECT - [0:0]",
    `-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${options.inboundPort}`,
    ...excludeInterfaces.map((name) => `-A ISTIO_INBOUND -i ${name} -j RETURN`),
    ...passed.map((port) => `-A ISTIO_INBOUND -p tcp --dport ${port} -j RETURN`),
    ...led.map((which) => `-A ISTIO_INBOUND -p tcp${which} -j ISTIO_IN_REDIRECT`),
    `-A PREROUTING ${leads}`,
    "COMMIT",
    "",
  ].join("\n");
}

/** The rules of the table that address translation is in. */
async function natRules(at: InNetwork): Promise<string> {
  return command([...at(["ip6tables-save", "-t", "nat"])]);
}

const isLed = (rules: string): boolean => /^-A PREROUTING .*-j ISTIO_INBOUND$/m.test(rules);

/**
 * Has new inbound connections of IPv6 led to the proxy; older ones go on as they are.
 * @throws WeftError when that cannot be done.
 */
export async function leadIPv6(at: InNetwork, options: CaptureOptions): Promise<void> {
  const rules = inboundRules(options);
  if (rules !== undefined && !isLed(await natRules(at))) await restore(at, rules);
}

/** Leads no new ones any more. Those that were led stay so: what is left has the kernel keep track of them. */
export async function passIPv6(at: InNetwork): Promise<void> {
  if (isLed(await natRules(at))) await restore(at, ["*nat", `-D PREROUTING ${leads}`, "COMMIT", ""].join("\n"));
}

/** Takes back what `prepareIPv6` and `leadIPv6` did, once nothing is led. */
export async function forgetIPv6(at: InNetwork): Promise<void> {
  await passIPv6(at);
  const chains = ["ISTIO_INBOUND", "ISTIO_IN_REDIRECT"];
  if ((await natRules(at)).includes(":ISTIO_INBOUND "))
    await restore(
      at,
      ["*nat", ...["-F", "-X"].flatMap((how) => chains.map((name) => `${how} ${name}`)), "COMMIT", ""].join("\n"),
    );
  if ((await addressesOf(at)).some(isPassthrough))
    await command([...at(["ip", "-6", "address", "del", `${passthrough}/128`, "dev", "lo"])]);
}

/** Whether a line of the kernel's list is for the address from which the proxy calls its Pod. */
const isPassthrough = (line: string): boolean => /^0{31}6 /.test(line.trim());

/**
 * Makes a Pod's network ready for a proxy that takes connections of IPv6, before that is started.
 * @returns whether they can be led to it: the Pod has an address of IPv6 that others route to, the machine has what that takes.
 */
export async function prepareIPv6(at: InNetwork): Promise<boolean> {
  if (!(await addressesOf(at)).some(isGlobal)) return false;
  try {
    await natRules(at);
    await command([...at(["ip", "-6", "address", "replace", `${passthrough}/128`, "dev", "lo"])]);
    return true;
  } catch {
    // Some kernels have no table nat of IPv6, some images no iproute2.
    return false;
  }
}

/**
 * Has inbound connections of IPv6 led to the proxy, where the Pod has an address of IPv6 that others route to; where that cannot be done,
 * has them refused. Before anything of the Pod runs: a proxy is told of it at its start.
 * @returns whether they are led.
 * @throws WeftError `FailedPrecondition` where they can be neither led nor refused.
 */
export async function captureIPv6(at: InNetwork, options: CaptureOptions): Promise<boolean> {
  if (await prepareIPv6(at)) {
    try {
      await leadIPv6(at, options);
      await acceptIPv6(at);
      return true;
    } catch {
      // Refused instead.
    }
  }
  await refuseIPv6(at, options);
  return false;
}

/** Whether that has been done in this process's own network. */
export function takesIPv6(): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === passthrough));
}
