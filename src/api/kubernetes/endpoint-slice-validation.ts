import { BlockList, isIP } from "node:net";
import type { FieldError } from "../kind.ts";
import { duplicate, FieldPath, invalid, required } from "../field.ts";
import { nameProblem, validateNamed } from "../metadata.ts";
import type { EndpointSlice } from "./endpoint-slice.ts";

/** Addresses that lead back to whoever uses them, or nowhere. */
const special = new BlockList();
special.addAddress("0.0.0.0");
special.addSubnet("127.0.0.0", 8);
special.addSubnet("169.254.0.0", 16);
special.addSubnet("224.0.0.0", 24);
special.addAddress("::", "ipv6");
special.addAddress("::1", "ipv6");
special.addSubnet("fe80::", 10, "ipv6");
special.addSubnet("ff02::", 16, "ipv6");

function addressProblem(type: EndpointSlice["addressType"], address: string): string | undefined {
  if (type === "FQDN") return nameProblem("subdomain", address);
  const family = type === "IPv4" ? 4 : 6;
  if (isIP(address) !== family) return `must be an ${type} address`;
  return special.check(address, family === 4 ? "ipv4" : "ipv6")
    ? "must not be an unspecified, loopback, link-local or local multicast address"
    : undefined;
}

/** Checks an EndpointSlice as Kubernetes does. */
export function* validateEndpointSlice({ addressType, endpoints, ports }: EndpointSlice): Generator<FieldError> {
  const path = FieldPath.root;
  if (endpoints.length > 1000)
    yield invalid(path.field("endpoints"), endpoints.length, "must have 1000 items or fewer");
  for (const [index, { addresses, hostname }] of endpoints.entries()) {
    const at = path.field("endpoints").item(index);
    if (addresses.length === 0) yield required(at.field("addresses"), "must contain at least 1 address");
    for (const [number, address] of addresses.entries()) {
      const problem = addressProblem(addressType, address);
      if (problem !== undefined) yield invalid(at.field("addresses").item(number), address, problem);
    }
    if (hostname !== undefined) yield* validateNamed("label", hostname, at.field("hostname"));
  }
  const names = new Set<string>();
  for (const [index, { name }] of (ports ?? []).entries()) {
    const at = path.field("ports").item(index).field("name");
    if (name !== "") yield* validateNamed("label", name, at);
    if (names.has(name)) yield duplicate(at, name);
    names.add(name);
  }
}

/** Checks a change of an EndpointSlice: what its addresses are stays. */
export function* validateEndpointSliceUpdate(
  { addressType }: EndpointSlice,
  before: EndpointSlice,
): Generator<FieldError> {
  if (addressType !== before.addressType) {
    yield invalid(FieldPath.root.field("addressType"), addressType, "field is immutable");
  }
}
