import { createHash } from "node:crypto";
import { addressText, cidrSize, parseCidr } from "#base/cidr.ts";

/** A part of the reserved range that nobody routes: Istio's default for automatic addresses. */
const range = parseCidr("240.240.0.0/16");

/** Addresses that can be given: all but the range's first and last. */
export const poolSize = cidrSize(range) - 2;

/**
 * A free address for an owner. Where it begins to look depends on the owner's name alone, so that an entry that is made
 * again, or that another copy of the control plane looks at, mostly gets the same.
 * @returns undefined when all are taken.
 */
export function freeAddress(owner: string, taken: (address: string) => boolean): string | undefined {
  const start = createHash("sha256").update(owner).digest().readUInt32BE(0);
  for (let step = 0; step < poolSize; step += 1) {
    const address = addressText(range.base + 1 + ((start + step) % poolSize));
    if (!taken(address)) return address;
  }
  return undefined;
}
