import { takesAddresses } from "#api/istio/address-allocation.ts";
import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import { isWildcard } from "#api/istio/hosts.ts";
import type { ResourceObject, StringMap } from "#api/meta.ts";

/** An address that an entry's host was given, as its status has it. */
export interface HostAddress {
  readonly host: string;
  readonly value: string;
}

/** A ServiceEntry as far as addresses are concerned. */
export interface AddressedEntry {
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339; where two have one address the older keeps it. */
  readonly created: string;
  /** Hosts that are to have an address each. */
  readonly hosts: readonly string[];
  readonly given: readonly HostAddress[];
  /** Addresses that the user wrote. */
  readonly written: readonly string[];
}

/** Hosts that need addresses, by the rules of Istio's automatic allocation. */
function hostsOf(spec: ServiceEntrySpec, labels: StringMap | undefined): readonly string[] {
  if (!takesAddresses(spec, labels)) return [];
  const { resolution, hosts } = spec;
  return [...new Set(hosts.filter((host) => resolution === "DYNAMIC_DNS" || !isWildcard(host)))];
}

/** Reads a ServiceEntry. */
export function addressedEntry(object: ResourceObject): AddressedEntry {
  const { namespace = "", name, creationTimestamp, labels } = object.metadata;
  const spec = object["spec"] as ServiceEntrySpec;
  const { addresses = [] } = (object["status"] ?? {}) as { readonly addresses?: readonly Partial<HostAddress>[] };
  return {
    namespace,
    name,
    created: creationTimestamp,
    hosts: hostsOf(spec, labels),
    given: addresses.flatMap(({ host, value }) => (host === undefined || value === undefined ? [] : [{ host, value }])),
    written: spec.addresses ?? [],
  };
}

/** An entry's key. */
export function entryKey({ namespace = "", name }: { readonly namespace?: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}
