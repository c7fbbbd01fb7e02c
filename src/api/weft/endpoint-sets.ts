/** How agents and control planes compare endpoints, without telling each other all of them. */
import { createHash } from "node:crypto";

/** Characters of a hash: enough that no two sets of one mesh have the same. */
const hashLength = 16;

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, hashLength);
}

/** Tells sets of one cluster's addresses apart; that of an empty set is empty. */
export function setHash(addresses: Iterable<string>): string {
  const sorted = [...new Set(addresses)].toSorted();
  return sorted.length === 0 ? "" : hashOf(sorted.join("\n"));
}

/** Tells apart what proxies hold of all clusters; those without addresses count for nothing. */
export function wholeHash(hashes: Iterable<readonly [cluster: string, hash: string]>): string {
  const lines = [...hashes].flatMap(([cluster, hash]) => (hash === "" ? [] : [`${cluster} ${hash}`]));
  return hashOf(lines.toSorted().join("\n"));
}

/** An address with its port, as both sides write it. */
export function addressText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
