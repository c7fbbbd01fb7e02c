import type { TCPRoute, TLSRoute } from "#api/istio/virtual-service.ts";
import type { ObjectRef } from "#api/meta.ts";
import { resolveDestination, resolveGateways, type VirtualServiceRow } from "../routes/resolve.ts";

/** A VirtualService as the routing of connections reads it: names of hosts and gateways in full. */
export interface ConnectionRule {
  /** The VirtualService. */
  readonly ref: ObjectRef;
  readonly tls: readonly TLSRoute[];
  readonly tcp: readonly TCPRoute[];
}

/** What connections are routed by of a VirtualService. */
export function connectionRule({ ref, namespace, spec }: VirtualServiceRow): ConnectionRule {
  const full = <Route extends TLSRoute | TCPRoute>(route: Route): Route => {
    const { match, route: destinations = [] } = route;
    return {
      ...route,
      ...(match && { match: match.map((each) => resolveGateways(each, namespace)) }),
      route: destinations.map((each) => ({ ...each, destination: resolveDestination(each.destination, namespace) })),
    };
  };
  return { ref, tls: (spec.tls ?? []).map(full), tcp: (spec.tcp ?? []).map(full) };
}
