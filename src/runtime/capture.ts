import { command } from "./command.ts";
import { inside, namespacePath } from "./namespace.ts";

/** Ports, numbered or all of them. */
export type Ports = "*" | readonly number[];

/** Which of a Pod's traffic goes through its proxy. The defaults are those of Istio's injection. */
export interface CaptureOptions {
  /** The proxy's own user and group, whose traffic is left alone. */
  readonly proxyId: number;
  /** Where Envoy takes outbound connections. */
  readonly outboundPort: number;
  /** Where Envoy takes inbound connections. */
  readonly inboundPort: number;
  /** HBONE's port, which is never captured. */
  readonly tunnelPort: number;
  readonly includeInboundPorts: Ports;
  readonly excludeInboundPorts: readonly number[];
  /** Captured even where no range includes their destination. */
  readonly includeOutboundPorts: readonly number[];
  readonly excludeOutboundPorts: readonly number[];
  readonly includeOutboundRanges: "*" | readonly string[];
  readonly excludeOutboundRanges: readonly string[];
  readonly excludeInterfaces: readonly string[];
  /** DNS to these servers goes to the agent's DNS server on `port`. */
  readonly dns?: { readonly servers: readonly string[]; readonly port: number };
  /** Inbound connections from this address, the node's own probes, go to the application directly. */
  readonly probeSource?: string;
}

/** What Istio's injection gives to `istio-iptables`: everything but the proxy's own ports. */
export const defaultCapture: CaptureOptions = {
  proxyId: 1337,
  outboundPort: 15001,
  inboundPort: 15006,
  tunnelPort: 15008,
  includeInboundPorts: "*",
  excludeInboundPorts: [15090, 15021, 15020],
  includeOutboundPorts: [],
  excludeOutboundPorts: [],
  includeOutboundRanges: "*",
  excludeOutboundRanges: [],
  excludeInterfaces: [],
};

const loopback = "127.0.0.1/32";
/** Source address of what Envoy passes on to an application that has no inbound listener of its own. */
const passthrough = "127.0.0.6/32";

/** A chain's rules, in order. */
type Rules = string[];

function exclusions(interfaces: readonly string[]): Rules {
  return interfaces.flatMap((name) => [`-A PREROUTING -i ${name} -j RETURN`, `-A OUTPUT -o ${name} -j RETURN`]);
}

function inboundRules(options: CaptureOptions): Rules {
  const ports = options.includeInboundPorts;
  const rules = [`-A ISTIO_INBOUND -p tcp --dport ${options.tunnelPort} -j RETURN`];
  if (ports !== "*" && ports.length === 0) return rules;
  rules.push("-A PREROUTING -p tcp -j ISTIO_INBOUND");
  if (options.probeSource !== undefined) rules.push(`-A ISTIO_INBOUND -s ${options.probeSource}/32 -p tcp -j RETURN`);
  if (ports === "*") {
    for (const port of options.excludeInboundPorts) rules.push(`-A ISTIO_INBOUND -p tcp --dport ${port} -j RETURN`);
    rules.push("-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT");
  } else {
    for (const port of ports) rules.push(`-A ISTIO_INBOUND -p tcp --dport ${port} -j ISTIO_IN_REDIRECT`);
  }
  return rules;
}

/** Rules that keep the proxy's own traffic, and an application's calls to itself, in order; once by user, once by group. */
function ownerRules(options: CaptureOptions, owner: string, dns: boolean): Rules {
  const { tunnelPort: tunnel } = options;
  const callsItself = options.includeOutboundRanges !== "*" && options.includeOutboundRanges.some(isLoopback);
  const byUser = owner.startsWith("--uid-owner");
  const except = dns && byUser ? `-m multiport ! --dports 53,${tunnel}` : `! --dport ${tunnel}`;
  const notDns = dns ? "-p tcp ! --dport 53 " : "";
  return [
    `-A ISTIO_OUTPUT -o lo ! -d ${loopback} -p tcp ${except} -m owner ${owner} -j ISTIO_IN_REDIRECT`,
    ...(callsItself ? [] : [`-A ISTIO_OUTPUT -o lo ${notDns}-m owner ! ${owner} -j RETURN`]),
    `-A ISTIO_OUTPUT -m owner ${owner} -j RETURN`,
  ];
}

function isLoopback(range: string): boolean {
  return range.startsWith("127.");
}

function outboundRules(options: CaptureOptions): Rules {
  const { proxyId, dns } = options;
  const rules = ["-A OUTPUT -j ISTIO_OUTPUT"];
  for (const port of options.excludeOutboundPorts)
    for (const protocol of ["tcp", "udp"]) rules.push(`-A ISTIO_OUTPUT -p ${protocol} --dport ${port} -j RETURN`);
  rules.push(`-A ISTIO_OUTPUT -o lo -s ${passthrough} -j RETURN`);
  for (const owner of [`--uid-owner ${proxyId}`, `--gid-owner ${proxyId}`])
    rules.push(...ownerRules(options, owner, dns !== undefined));
  if (dns !== undefined) rules.push("-A ISTIO_OUTPUT -j ISTIO_OUTPUT_DNS", ...dnsRules(dns));
  rules.push(`-A ISTIO_OUTPUT -d ${loopback} -j RETURN`);
  for (const range of options.excludeOutboundRanges) rules.push(`-A ISTIO_OUTPUT -d ${range} -j RETURN`);
  for (const port of options.includeOutboundPorts)
    rules.push(`-A ISTIO_OUTPUT -p tcp --dport ${port} -j ISTIO_REDIRECT`);
  const ranges = options.includeOutboundRanges;
  if (ranges === "*") rules.push("-A ISTIO_OUTPUT -j ISTIO_REDIRECT");
  else for (const range of ranges) rules.push(`-A ISTIO_OUTPUT -d ${range} -j ISTIO_REDIRECT`);
  return rules;
}

function dnsRules(dns: { readonly servers: readonly string[]; readonly port: number }): Rules {
  return ["tcp", "udp"].flatMap((protocol) =>
    dns.servers.map(
      (server) => `-A ISTIO_OUTPUT_DNS -p ${protocol} --dport 53 -d ${server}/32 -j REDIRECT --to-ports ${dns.port}`,
    ),
  );
}

/** Keeps the two halves of DNS over UDP (application to agent, agent to resolver) apart in connection tracking. */
function zoneRules(options: CaptureOptions): Rules {
  const { proxyId, dns } = options;
  if (dns === undefined) return [];
  return [
    "-A OUTPUT -j ISTIO_OUTPUT_DNS",
    ...[`--uid-owner ${proxyId}`, `--gid-owner ${proxyId}`].flatMap((owner) => [
      `-A ISTIO_OUTPUT_DNS -p udp --dport 53 -m owner ${owner} -j CT --zone 1`,
      `-A ISTIO_OUTPUT_DNS -p udp --sport ${dns.port} -m owner ${owner} -j CT --zone 2`,
    ]),
    "-A PREROUTING -j ISTIO_INBOUND",
    ...dns.servers.flatMap((server) => [
      `-A ISTIO_OUTPUT_DNS -p udp --dport 53 -d ${server}/32 -j CT --zone 2`,
      `-A ISTIO_INBOUND -p udp --sport 53 -s ${server}/32 -j CT --zone 1`,
    ]),
  ];
}

function table(name: string, chains: readonly string[], rules: Rules): string {
  return [`*${name}`, ...chains.map((chain) => `:${chain} - [0:0]`), ...rules, "COMMIT", ""].join("\n");
}

/**
 * The rules of a captured Pod as input for `iptables-restore`, in the chains, with the meaning and in the order of Istio's
 * `istio-iptables` in REDIRECT mode (one rule a port). `probeSource` alone is beyond it.
 */
export function captureRules(options: CaptureOptions): string {
  const dns = options.dns === undefined ? [] : ["ISTIO_OUTPUT_DNS"];
  const nat = table(
    "nat",
    ["ISTIO_INBOUND", "ISTIO_REDIRECT", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", ...dns],
    [
      ...exclusions(options.excludeInterfaces),
      `-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports ${options.outboundPort}`,
      `-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${options.inboundPort}`,
      ...inboundRules(options),
      ...outboundRules(options),
    ],
  );
  if (options.dns === undefined) return nat;
  return nat + table("raw", ["ISTIO_OUTPUT_DNS", "ISTIO_INBOUND"], zoneRules(options));
}

/** Puts a Pod's rules in force inside its (fresh) namespace, replacing any that stood there. */
export async function applyCapture(namespace: string, options: CaptureOptions): Promise<void> {
  await command(inside(namespacePath(namespace), ["iptables-restore"]), { input: captureRules(options) });
}
