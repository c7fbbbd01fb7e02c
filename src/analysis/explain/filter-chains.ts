import { BlockList, isIP } from "node:net";
import type { FilterChain, FilterChainMatch } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import type { Listener } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";

/** A connection as a listener sees it. */
export interface Connection {
  /** Where it was meant to go before it was redirected; empty where that cannot be known. */
  readonly address: string;
  readonly port: number;
  /** What a TLS greeting says; empty without TLS. */
  readonly serverName: string;
  readonly transport: "raw_buffer" | "tls";
  /** As listener filters find them out; empty where none looks. */
  readonly applicationProtocols: readonly string[];
}

const httpInspector = "envoy.filters.listener.http_inspector";

/** The connection with only what the listener's filters find out. */
export function inspected(listener: Listener, connection: Connection): Connection {
  const looks = listener.listenerFilters.some(({ name }) => name === httpInspector);
  return connection.transport === "raw_buffer" && !looks ? { ...connection, applicationProtocols: [] } : connection;
}

type Criterion = (match: FilterChainMatch, connection: Connection) => number | undefined;

/** Whether an address is in a network. */
export function inRange(address: string, prefix: string, length: number): boolean {
  const family = isIP(prefix) === 6 ? "ipv6" : "ipv4";
  if (isIP(address) !== isIP(prefix)) return false;
  const list = new BlockList();
  list.addSubnet(prefix, length, family);
  return list.check(address, family);
}

/** How closely a wildcard server name fits: by its length, an exact one closest. */
function serverNameFit(pattern: string, name: string): number | undefined {
  if (pattern === name) return 1000;
  return pattern.startsWith("*.") && name.endsWith(pattern.slice(1)) ? pattern.length : undefined;
}

function best(fits: readonly (number | undefined)[]): number | undefined {
  const found = fits.filter((fit) => fit !== undefined);
  return found.length === 0 ? undefined : Math.max(...found);
}

/** In Envoy's order; each says how closely a chain fits, 0 where it does not ask, nothing where it does not fit. */
const criteria: readonly Criterion[] = [
  ({ destinationPort }, { port }) => (destinationPort === undefined ? 0 : destinationPort === port ? 1 : undefined),
  ({ prefixRanges }, { address }) =>
    prefixRanges.length === 0
      ? 0
      : best(
          prefixRanges.map(({ addressPrefix, prefixLen }) =>
            inRange(address, addressPrefix, prefixLen ?? 0) ? 1 + (prefixLen ?? 0) : undefined,
          ),
        ),
  ({ serverNames }, { serverName }) =>
    serverNames.length === 0 ? 0 : best(serverNames.map((each) => serverNameFit(each, serverName))),
  ({ transportProtocol }, { transport }) =>
    transportProtocol === "" ? 0 : transportProtocol === transport ? 1 : undefined,
  ({ applicationProtocols: wanted }, { applicationProtocols }) =>
    wanted.length === 0 ? 0 : wanted.some((each) => applicationProtocols.includes(each)) ? 1 : undefined,
];

/**
 * The chain that takes a connection. Each criterion leaves those that fit it closest, and what it has dropped stays
 * dropped, as in Envoy. Rules: `envoy.config.listener.v3.FilterChainMatch`.
 */
export function filterChainFor(listener: Listener, connection: Connection): FilterChain | undefined {
  let left: readonly FilterChain[] = listener.filterChains;
  for (const criterion of criteria) {
    const fits = left.flatMap((chain) => {
      const fit = chain.filterChainMatch ? criterion(chain.filterChainMatch, connection) : 0;
      return fit === undefined ? [] : [{ chain, fit }];
    });
    const closest = Math.max(...fits.map(({ fit }) => fit));
    left = fits.filter(({ fit }) => fit === closest).map(({ chain }) => chain);
  }
  return left[0] ?? listener.defaultFilterChain;
}
