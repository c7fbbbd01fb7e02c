import type {
  Filter,
  FilterChain,
  ListenerFilter,
} from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import type { Listener } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import type { HttpFilter } from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { virtualInbound, virtualOutbound } from "../names.ts";
import type { ItemMatch } from "./list.ts";
import type { Match, Patch } from "./patch.ts";

/** Whether a listener takes what iptables redirects, for any port: the port stands in its chains. */
function isVirtual({ name }: Listener): boolean {
  return name === virtualInbound || name === virtualOutbound;
}

function portOf({ address }: Listener): number | undefined {
  const socket = address?.address;
  if (socket?.case !== "socketAddress") return undefined;
  const { portSpecifier } = socket.value;
  return portSpecifier.case === "portValue" ? portSpecifier.value : undefined;
}

/** Whether a patch is for a listener, or for something in it. */
export function meetsListener(listener: Listener, { applyTo, match }: Patch): boolean {
  const { name = "", portNumber = 0 } = match.listener ?? {};
  if (name !== "" && name !== listener.name) return false;
  if (applyTo !== "LISTENER" && isVirtual(listener)) return true;
  return portNumber === 0 || portOf(listener) === portNumber;
}

/** Whether a patch is for a filter chain of a listener that it is for, or for something in it. */
export function meetsChain(listener: Listener, chain: FilterChain, { match }: Patch): boolean {
  const { portNumber = 0, filterChain: wanted = {} } = match.listener ?? {};
  const { name = "", sni = "", transportProtocol = "", applicationProtocols = "", destinationPort = 0 } = wanted;
  const own = chain.filterChainMatch;
  const ports = [destinationPort, isVirtual(listener) ? portNumber : 0];
  return (
    ports.every((port) => port === 0 || own?.destinationPort === port) &&
    (name === "" || name === chain.name) &&
    (sni === "" || own?.serverNames.includes(sni) === true) &&
    (transportProtocol === "" || own?.transportProtocol === transportProtocol) &&
    (applicationProtocols === "" ||
      applicationProtocols.split(",").every((each) => own?.applicationProtocols.includes(each) === true))
  );
}

function byName<Item extends { readonly name: string }>(name: string | undefined): ItemMatch<Item> {
  return { named: name !== undefined, matches: (item) => name === undefined || item.name === name };
}

/** Which listener filters a patch is for. */
export function listenerFilterMatch({ listener }: Match): ItemMatch<ListenerFilter> {
  return byName(listener?.listenerFilter || undefined);
}

/** Which network filters a patch is for. */
export function networkFilterMatch({ listener }: Match): ItemMatch<Filter> {
  const filter = listener?.filterChain?.filter;
  return byName(filter && (filter.name ?? ""));
}

/** Which HTTP filters a patch is for. */
export function httpFilterMatch({ listener }: Match): ItemMatch<HttpFilter> {
  const filter = listener?.filterChain?.filter?.subFilter;
  return byName(filter && (filter.name ?? ""));
}
