import { isIP } from "node:net";
import type { NameTable } from "#proto/gen/istio/networking/nds/v1/nds_pb.js";

/** What a host name means to a workload. */
export interface ResolvedName {
  /** Full name, or the address itself. */
  readonly name: string;
  /** Empty where only the world's DNS may know it. */
  readonly addresses: readonly string[];
}

/** The full names that the resolver of a Pod looks for, in its order, as Kubernetes sets `search`. */
export function searched(host: string, namespace: string): readonly string[] {
  if (host.endsWith(".")) return [host.slice(0, -1)];
  const domains = [`${namespace}.svc.cluster.local`, "svc.cluster.local", "cluster.local"];
  const below = domains.map((domain) => `${host}.${domain}`);
  // `ndots:5`: names with fewer dots are looked for below the domains first.
  return host.split(".").length - 1 < 5 ? [...below, host] : [host, ...below];
}

/** What a name means to a workload of a namespace whose DNS answers from a name table. */
export function resolveName(host: string, namespace: string, { table }: NameTable): ResolvedName {
  if (isIP(host) !== 0) return { name: host, addresses: [host] };
  for (const name of searched(host.toLowerCase(), namespace)) {
    const info = table[name];
    if (info) return { name, addresses: info.ips };
    const wildcard = Object.keys(table).find((each) => each.startsWith("*.") && name.endsWith(each.slice(1)));
    if (wildcard !== undefined) return { name, addresses: table[wildcard]?.ips ?? [] };
  }
  return { name: host, addresses: [] };
}
