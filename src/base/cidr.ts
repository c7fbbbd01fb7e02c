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
