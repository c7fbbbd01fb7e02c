import type { Endpoint } from "#model/endpoint.ts";
import type { Origin } from "./locality.ts";

/** What decides whether callers reach an endpoint. */
export interface Reach {
  readonly origin: Origin;
  /** Networks whose gateways are known. */
  readonly gatewayed: readonly string[];
}

/**
 * Whether an endpoint is called from a place. One of another network is called by its address while no gateway of that
 * network is known, as in Istio; gateways take mutual TLS only, which callers without certificates cannot speak.
 */
export function isReached({ cluster, network, node }: Endpoint, { origin, gatewayed }: Reach): boolean {
  // Endpoints that users wrote belong to no cluster, and so to each.
  if (origin.cluster !== undefined && cluster !== "" && cluster !== origin.cluster) return false;
  if (origin.node !== undefined && node !== origin.node) return false;
  return network === "" || network === origin.network || !gatewayed.includes(network);
}
