import { isIPv4 } from "node:net";
import { addressNumber, addressText } from "#base/cidr.ts";

/** What connections a chain of filters is for. */
interface ConnectionMatch {
  /** Server names of TLS greetings in lower case; empty for all. */
  readonly serverNames: readonly string[];
  /** Networks that the connection is meant for; empty for all. */
  readonly destinations: readonly string[];
}

/** A network as Envoy compares it: without the bits beyond its prefix. */
function masked(network: string): string {
  const [address = "", bits = ""] = network.split("/");
  if (!isIPv4(address)) return network;
  const size = 2 ** (32 - Number(bits === "" ? 32 : bits));
  return `${addressText(Math.floor(addressNumber(address) / size) * size)}/${bits === "" ? 32 : bits}`;
}

/** Whether Envoy can match a server name: a wildcard must be a whole label. */
function isMatchable(name: string): boolean {
  return !name.startsWith("*") || name.startsWith("*.");
}

/** Every pair of a server name and a network that a chain takes; empty texts stand for all. */
function matchesOf({ serverNames, destinations }: ConnectionMatch): readonly (readonly [string, string])[] {
  const names = serverNames.length > 0 ? serverNames : [""];
  const networks = destinations.length > 0 ? destinations.map(masked) : [""];
  return names.flatMap((name) => networks.map((network) => [name, network] as const));
}

function distinct(list: readonly string[]): readonly string[] {
  return [...new Set(list)];
}

/**
 * Chains less what chains before them take already: Envoy refuses a listener of which two chains match the same. A chain
 * gives up the server names (without any, the networks) that are taken; one that is left with none goes.
 */
export function withoutOverlaps<Chain extends ConnectionMatch>(chains: readonly Chain[]): readonly Chain[] {
  const taken = new Set<string>();
  const free = (name: string, networks: readonly string[]): boolean =>
    (networks.length > 0 ? networks : [""]).every((network) => !taken.has(`${name}|${network}`));
  const kept: Chain[] = [];
  for (const chain of chains) {
    const networks = distinct(chain.destinations.map(masked));
    const named = chain.serverNames.length > 0;
    const serverNames = distinct(chain.serverNames).filter((name) => isMatchable(name) && free(name, networks));
    const destinations = named ? networks : networks.filter((network) => free("", [network]));
    const nothing = named ? serverNames.length === 0 : networks.length > 0 ? destinations.length === 0 : !free("", []);
    if (nothing) continue;
    const rest = { ...chain, serverNames, destinations };
    for (const [name, network] of matchesOf(rest)) taken.add(`${name}|${network}`);
    kept.push(rest);
  }
  return kept;
}
