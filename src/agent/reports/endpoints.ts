import { addressText, setHash, wholeHash } from "#api/weft/endpoint-sets.ts";
import { mostAddresses, mostClusters, mostParts, type ProxyReport, type ProxyWord } from "#api/weft/proxy-report.ts";
import type { AskAdmin } from "./figures.ts";

/** Addresses by cluster, of clusters that get them by EDS and have some. */
export type HeldEndpoints = ReadonlyMap<string, readonly string[]>;

/** What is read of Envoy's dumps; names are its own. */
interface Dump<Config> {
  readonly configs?: readonly Config[];
}

interface ClusterConfig {
  readonly cluster?: { readonly name?: string; readonly type?: string };
}

interface EndpointConfig {
  readonly endpoint_config?: {
    readonly cluster_name?: string;
    readonly endpoints?: readonly {
      readonly lb_endpoints?: readonly {
        readonly endpoint?: {
          readonly address?: {
            readonly socket_address?: { readonly address?: string; readonly port_value?: number };
            readonly pipe?: { readonly path?: string };
          };
        };
      }[];
    }[];
  };
}

function addressesOf({ endpoint_config: { endpoints = [] } = {} }: EndpointConfig): readonly string[] {
  const all = endpoints.flatMap(({ lb_endpoints: each = [] }) => each.map(({ endpoint }) => endpoint?.address ?? {}));
  return all.flatMap(({ socket_address: socket, pipe }) => {
    if (pipe?.path !== undefined) return [pipe.path];
    return socket?.address === undefined ? [] : [addressText(socket.address, socket.port_value ?? 0)];
  });
}

/** Asks an Envoy which endpoints it holds of the clusters that get them by EDS. @throws WeftError as `ask` does. */
export async function heldEndpoints(ask: AskAdmin): Promise<HeldEndpoints> {
  const clusters = JSON.parse(
    await ask("/config_dump?resource=dynamic_active_clusters&mask=cluster.name,cluster.type"),
  ) as Dump<ClusterConfig>;
  const asked = new Set(
    (clusters.configs ?? []).flatMap(({ cluster }) => (cluster?.type === "EDS" ? [cluster.name ?? ""] : [])),
  );
  const dump = JSON.parse(
    await ask("/config_dump?resource=dynamic_endpoint_configs&include_eds"),
  ) as Dump<EndpointConfig>;
  const held = new Map<string, readonly string[]>();
  for (const config of dump.configs ?? []) {
    const name = config.endpoint_config?.cluster_name ?? "";
    const addresses = addressesOf(config);
    if (asked.has(name) && addresses.length > 0) held.set(name, addresses);
  }
  return held;
}

/** What is told of them all the time. */
export function endpointSummary(held: HeldEndpoints): NonNullable<ProxyReport["endpoints"]> {
  const hashes = [...held].map(([name, addresses]) => [name, setHash(addresses)] as const);
  const addresses = [...held.values()].reduce((sum, { length }) => sum + length, 0);
  return { hash: wholeHash(hashes), clusters: held.size, addresses };
}

/** What is told of all clusters where that is asked for. */
export function endpointHashes(held: HeldEndpoints): readonly ProxyWord[] {
  const all = [...held].map(([name, addresses]) => [name, setHash(addresses)] as const);
  const count = Math.min(mostParts, Math.max(1, Math.ceil(all.length / mostClusters)));
  const cut = all.length > count * mostClusters;
  return Array.from({ length: count }, (_, at) => {
    const hashes = Object.fromEntries(all.slice(at * mostClusters, (at + 1) * mostClusters));
    return { kind: "hashes", hashes: { hashes, part: at < count - 1 ? "more" : cut ? "cut" : "end" } };
  });
}

/** What is told of some clusters where that is asked for. */
export function endpointAddresses(held: HeldEndpoints, clusters: readonly string[]): ProxyWord {
  const named = clusters.slice(0, mostClusters).map((name) => [name, (held.get(name) ?? []).slice(0, mostAddresses)]);
  return { kind: "addresses", addresses: Object.fromEntries(named) as Record<string, readonly string[]> };
}
