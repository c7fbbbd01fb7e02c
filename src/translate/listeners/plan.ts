import type { Protocol } from "#model/protocol.ts";
import type { TcpChain } from "../connections/chain.ts";
import { loopback } from "#model/sidecars.ts";
import { listenerName, routeName } from "../names.ts";
import { withoutOverlaps } from "./chains.ts";
import type { Slot } from "./slots.ts";

/** An outbound listener before it is made: all that its message says of services. */
export interface ListenerPlan {
  readonly address: string;
  readonly port: number;
  /** Whether callers connect to the address, rather than being redirected. */
  readonly bound?: true;
  /** Name of the route configuration; absent where no HTTP is spoken. */
  readonly route?: string;
  /** Whether gRPC-Web is understood: where it is what the first HTTP service speaks, as in Istio. */
  readonly grpcWeb?: true;
  /** Whether hosts of some of the HTTP services are looked up as they are called. */
  readonly dynamicDns?: true;
  readonly tcp: readonly TcpChain[];
}

/** Filters of these protocols read the bytes of the server, so that telling HTTP apart first would break them. */
const aloneProtocols: ReadonlySet<Protocol> = new Set(["Mongo", "MySQL"]);

interface Draft {
  readonly plan: ListenerPlan;
  readonly protocols: ReadonlySet<Protocol>;
}

function conflicts(draft: Draft, slot: Slot): boolean {
  return [...draft.protocols].some(
    (protocol) => protocol !== slot.protocol && (aloneProtocols.has(protocol) || aloneProtocols.has(slot.protocol)),
  );
}

function add(draft: Draft, slot: Slot): Draft {
  if (conflicts(draft, slot)) return draft;
  const { plan, protocols } = draft;
  const route = plan.route ?? slot.route;
  const grpcWeb = plan.route === undefined && slot.protocol === "GRPC-Web";
  return {
    plan: {
      ...plan,
      tcp: [...plan.tcp, ...slot.tcp],
      ...(route !== undefined && { route }),
      ...(grpcWeb && { grpcWeb }),
      ...(slot.dynamicDns && { dynamicDns: true }),
    },
    protocols: new Set([...protocols, slot.protocol]),
  };
}

/**
 * Listeners by name from what services need. HTTP services of a port share one listener; for bytes the first service
 * that matches a connection gets it.
 */
export function planListeners(slots: Iterable<Slot>): ReadonlyMap<string, ListenerPlan> {
  const drafts = new Map<string, Draft>();
  for (const slot of slots) {
    const { address, port, bound } = slot;
    const name = listenerName(address, port);
    const plan = { address, port, ...(bound && { bound }), tcp: [] };
    drafts.set(name, add(drafts.get(name) ?? { plan, protocols: new Set<Protocol>() }, slot));
  }
  return new Map([...drafts].map(([name, { plan }]) => [name, { ...plan, tcp: withoutOverlaps(plan.tcp) }]));
}

/** The listener of the mesh's HTTP proxy, on the workload's loopback; none for port 0. */
export function httpProxyPlans(port: number): readonly ListenerPlan[] {
  if (port === 0) return [];
  return [{ address: loopback, port, bound: true, route: routeName({ kind: "proxy", port: 0 }), tcp: [] }];
}
