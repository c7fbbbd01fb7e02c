import { isWildcard } from "#api/istio/hosts.ts";
import { parseClusterName, parseRouteName } from "./names.ts";
import type { VirtualHostPlan } from "./routes/outbound.ts";

/** A virtual host that a proxy asked for. */
export interface Ask {
  readonly port: number;
  /** What the request's `Host` is without its port, in lower case. */
  readonly host: string;
  /** Whether a virtual host can be for this alone: no wildcard, nothing that Envoy would not take. */
  readonly valid: boolean;
}

/** The host that a proxy asked for by the name of one of its clusters; undefined for other names. */
export function parseClusterAsk(name: string): string | undefined {
  const cluster = parseClusterName(name);
  return cluster?.direction === "outbound" && !cluster.passed ? cluster.host : undefined;
}

/** Names of hosts and addresses, as they can stand in a `Host`. */
const hostForm = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)$/;

/** Reads the name by which Envoy asks, `ROUTE CONFIGURATION/HOST`; undefined for other names. */
export function parseAsk(name: string): Ask | undefined {
  const slash = name.indexOf("/");
  const route = slash < 0 ? undefined : parseRouteName(name.slice(0, slash));
  if (route?.kind !== "port") return undefined;
  const host = name
    .slice(slash + 1)
    .toLowerCase()
    .replace(/:\d*$/, "");
  return { port: route.port, host, valid: host.length <= longestHost && hostForm.test(host) };
}

const longestHost = 253;

/** Which host each domain of a port's virtual hosts is for. */
export interface Domains {
  readonly exact: ReadonlyMap<string, string>;
  /** Longest first, as Envoy looks at them. */
  readonly suffixes: readonly { readonly suffix: string; readonly host: string }[];
}

/** The domains of virtual hosts. */
export function domainsOf(plans: Iterable<VirtualHostPlan>): Domains {
  const exact = new Map<string, string>();
  const suffixes: { suffix: string; host: string }[] = [];
  for (const { host, domains } of plans) {
    for (const domain of domains) {
      if (isWildcard(domain)) suffixes.push({ suffix: domain.slice(1), host });
      else exact.set(domain, host);
    }
  }
  return { exact, suffixes: suffixes.toSorted((a, b) => b.suffix.length - a.suffix.length) };
}

/** The host whose virtual host takes requests for a name, as Envoy chooses it: the full name, else the longest wildcard. */
export function claimant({ exact, suffixes }: Domains, name: string): string | undefined {
  const found = exact.get(name);
  if (found !== undefined) return found;
  return suffixes.find(({ suffix }) => name.length > suffix.length && name.endsWith(suffix))?.host;
}
