import type { StringMap } from "../meta.ts";
import { ownValue } from "../record.ts";
import type { ServiceEntrySpec } from "./service-entry.ts";

/** The label by which an entry asks for no addresses, with the value false. */
const optOut = "networking.istio.io/enable-autoallocate-ip";

/** Whether the hosts of a ServiceEntry are given addresses, by the rules of Istio's automatic allocation. */
export function takesAddresses(
  { resolution = "NONE", addresses = [] }: ServiceEntrySpec,
  labels: StringMap | undefined,
): boolean {
  // Without resolution a proxy goes to the address that was called, which here would be nobody's.
  return resolution !== "NONE" && addresses.length === 0 && ownValue(labels, optOut)?.toLowerCase() !== "false";
}
