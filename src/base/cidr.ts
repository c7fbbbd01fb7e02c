import { BlockList, isIP, isIPv4 } from "node:net";
import { WeftError } from "./errors.ts";

/** A range of IPv4 addresses as numbers. */
export interface Cidr {
  /** The range's first address. */
  readonly base: number;
  /** Length of the prefix in bits. */
  readonly prefix: number;
}

/**
 * Reads a range such as `10.10.0.0/16`.
 * @throws WeftError `InvalidArgument` when it is none, or has bits set beyond its prefix.
 */
export function parseCidr(text: string): Cidr {
  const [address = "", length = "", ...rest] = text.split("/");
  const prefix = /^\d{1,2}$/.test(length) ? Number(length) : Number.NaN;
  if (!isIPv4(address) || rest.length > 0 || !(prefix <= 32)) throw notCidr(text);
  const base = addressNumber(address);
  if (base % 2 ** (32 - prefix) !== 0) throw notCidr(text);
  return { base, prefix };
}

function notCidr(text: string): WeftError {
  return new WeftError("InvalidArgument", `"${text}" is not an IPv4 range such as 10.10.0.0/16`);
}

/** An IPv4 address as a number; the text must be one. */
export function addressNumber(text: string): number {
  return text.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** A number as an IPv4 address. */
export function addressText(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

/** How many addresses a range has. */
export function cidrSize(cidr: Cidr): number {
  return 2 ** (32 - cidr.prefix);
}

/** Whether a range such as `10.10.0.0/16` or `fd00::/8` has an address. Neither has what is no range or no address. */
export function cidrContains(range: string, address: string): boolean {
  const [base = "", prefix] = range.split("/");
  const [family, own] = [isIP(base), isIP(address)];
  const bits = Number(prefix ?? (family === 6 ? 128 : 32));
  if (family === 0 || own !== family || !Number.isInteger(bits) || bits < 0 || bits > (family === 6 ? 128 : 32)) {
    return false;
  }
  const list = new BlockList();
  list.addSubnet(base, bits, family === 6 ? "ipv6" : "ipv4");
  return list.check(address, family === 6 ? "ipv6" : "ipv4");
}

/** Whether two ranges have an address in common. One that is no range has none. */
export function cidrsOverlap(a: string, b: string): boolean {
  return cidrContains(a, firstOf(b)) || cidrContains(b, firstOf(a));
}

function firstOf(range: string): string {
  return range.split("/")[0] ?? "";
}

/** Whether a text is an IPv4 range without bits beyond its prefix. */
function isCidr(range: string): boolean {
  const [address = "", length = ""] = range.split("/");
  const prefix = /^\d{1,2}$/.test(length) ? Number(length) : 33;
  return isIPv4(address) && prefix <= 32 && addressNumber(address) % 2 ** (32 - prefix) === 0;
}

/** Ranges in order, each once, with IPv4 ranges that make up a larger one, or lie in one, put together. */
export function mergedCidrs(ranges: readonly string[]): readonly string[] {
  const others = new Set(ranges.filter((range) => !isCidr(range)));
  const merged: Cidr[] = [];
  const sorted = [...new Set(ranges)].filter(isCidr).map(parseCidr);
  sorted.sort((a, b) => a.base - b.base || a.prefix - b.prefix);
  for (const cidr of sorted) {
    const before = merged.at(-1);
    if (before && cidr.base < before.base + cidrSize(before)) continue;
    merged.push(cidr);
    join(merged);
  }
  return [...merged.map(({ base, prefix }) => `${addressText(base)}/${prefix}`), ...[...others].toSorted()];
}

/** Puts the last two ranges together as long as they are the halves of one. */
function join(ranges: Cidr[]): void {
  for (;;) {
    const [a, b] = ranges.slice(-2);
    if (!a || !b || a.prefix !== b.prefix || a.prefix === 0) return;
    if (a.base % 2 ** (33 - a.prefix) !== 0 || b.base !== a.base + cidrSize(a)) return;
    ranges.splice(-2, 2, { base: a.base, prefix: a.prefix - 1 });
  }
}
