import { isIP } from "node:net";
import type { MergedRule } from "#model/destinationrules.ts";
import { isHttp, isTls, listenerProtocol, type Protocol } from "#model/protocol.ts";
import type { EgressListener } from "#model/sidecars.ts";
import { addressesIn, type Service, type ServicePort } from "#model/service.ts";
import { meshGateway } from "#model/virtualservices.ts";
import { statName } from "../clusters/stat-name.ts";
import { isDynamic } from "../dynamic-dns.ts";
import { clusterName, routeName } from "../names.ts";
import {
  connectionSettings,
  singleTarget,
  speaking,
  tcpChains,
  type TcpChain,
  type TcpTarget,
  tlsChains,
} from "../connections/chain.ts";
import type { ConnectionRule } from "../connections/rule.ts";
import type { Destinations } from "../routes/destination.ts";
import type { RouteSource } from "../routes/source.ts";

/** Listens on every address. */
export const wildcardAddress = "0.0.0.0";

/** What one port of a service needs of a listener. Slots of one address and port share a listener. */
export interface Slot {
  readonly address: string;
  readonly port: number;
  /** Whether callers connect to the address, rather than being redirected. */
  readonly bound?: true;
  readonly protocol: Protocol;
  /** Name of the route configuration for HTTP. */
  readonly route?: string;
  /** Present where hosts of requests are looked up as they are called. */
  readonly dynamicDns?: true;
  /** Chains for connections that are not HTTP, those that win first. */
  readonly tcp: readonly TcpChain[];
}

/** An address to listen on, and the network that it stands for where that is more than one address. */
interface Place {
  readonly address: string;
  readonly destinations: readonly string[];
}

function places(service: Service, cluster: string): readonly Place[] {
  return addressesIn(service, cluster).map((address) => {
    if (!address.includes("/")) return { address, destinations: [] };
    const [base = "", bits] = address.split("/");
    return bits === "32" ? { address: base, destinations: [] } : { address: wildcardAddress, destinations: [address] };
  });
}

/** Where bytes of a service's port go, and how long such a connection may last. */
function tcpTarget({ service, rule, statName: pattern = "" }: SlotInput, port: ServicePort): TcpTarget {
  const target = singleTarget(clusterName("outbound", port.number, "", service.host));
  const statPrefix = statName(pattern, service, port, target.statPrefix);
  return {
    ...target,
    statPrefix,
    ...(isDynamic(service) && { lookupPort: port.number }),
    ...connectionSettings(rule?.spec, "", port.number),
  };
}

/** Where connections to a service go that no VirtualService has a say about. */
function defaultChain(input: SlotInput, port: ServicePort, place: Place): TcpChain {
  const { service, cluster } = input;
  const own = places(service, cluster)[0];
  const nameless =
    own?.address === wildcardAddress && (place.address === wildcardAddress || own.destinations.length > 0);
  // Where the address does not tell the service, the server name has to.
  const bySni = isTls(port.protocol) && (nameless || isDynamic(service));
  return {
    serverNames: bySni ? [service.host] : [],
    destinations: place.destinations,
    target: tcpTarget(input, port),
  };
}

/** What a service's ports need of listeners, as a client's rule for it has it. */
export interface SlotInput {
  readonly service: Service;
  /** The member cluster of the proxies. */
  readonly cluster: string;
  readonly rule: MergedRule | undefined;
  /** The Sidecar's listener by which the service is called; absent where it is called at its own address. */
  readonly listener?: EgressListener;
  /** The mesh's pattern for names of statistics; the clusters' names unless set. */
  readonly statName?: string;
  /** Addresses of the service's endpoints on a port; read for headless services only. */
  readonly endpointAddresses: (port: number) => readonly string[];
  /** What VirtualServices say of connections to the service; absent where none does. */
  readonly routing?: ConnectionRouting;
}

/** What VirtualServices say of connections to a service. */
interface ConnectionRouting {
  /** In the order of precedence, at least one. */
  readonly rules: readonly ConnectionRule[];
  readonly source: RouteSource;
  readonly known: Destinations;
}

/** The chains of a port, each knowing what is spoken on it. */
function chainsAt(input: SlotInput, port: ServicePort, place: Place): readonly TcpChain[] {
  return routedChains(input, port, place).map((chain) => ({ ...chain, target: speaking(chain.target, port.protocol) }));
}

/** What rules say, then where all other connections to the service go. */
function routedChains(input: SlotInput, port: ServicePort, place: Place): readonly TcpChain[] {
  const { routing } = input;
  const otherwise = defaultChain(input, port, place);
  if (!routing) return [otherwise];
  const { rules, source, known } = routing;
  const context = {
    place: { port: port.number, gateway: meshGateway, source },
    known,
    destinations: place.destinations,
  };
  if (isTls(port.protocol)) {
    const chains = tlsChains(rules, context);
    // Rules for some server names leave the others to be passed on, as in Istio.
    return chains.length > 0 ? chains : [otherwise];
  }
  const { chains, complete } = tcpChains(rules, context);
  return complete ? chains : [...chains, otherwise];
}

/** Headless services are called by their endpoints' own addresses, which their listeners therefore have. */
function tcpPlaces(input: SlotInput, port: ServicePort): readonly Place[] {
  const { service, cluster, listener, endpointAddresses } = input;
  if (listener?.bind !== undefined) return [{ address: listener.bind, destinations: [] }];
  const own = places(service, cluster);
  if (listener?.port) return own;
  if (service.resolution !== "NONE" || own[0]?.address !== wildcardAddress || own[0].destinations.length > 0)
    return own;
  const addresses = endpointAddresses(port.number);
  // A ServiceEntry that cannot have any endpoint stands for whatever its port is called on.
  if (addresses.length === 0 && service.registry === "External" && !service.selects) return own;
  return addresses.filter((address) => isIP(address) === 4).map((address) => ({ address, destinations: [] }));
}

type ListenerPort = NonNullable<EgressListener["port"]>;

function portSlots(input: SlotInput, port: ServicePort): readonly Slot[] {
  const { service, listener } = input;
  const { number, protocol } = port;
  switch (listenerProtocol(protocol)) {
    case "http": {
      const route = routeName({ kind: "port", port: number });
      const address = listener?.bind ?? wildcardAddress;
      return [{ address, port: number, protocol, route, ...(isDynamic(service) && { dynamicDns: true }), tcp: [] }];
    }
    case "tcp":
      return tcpPlaces(input, port).map((place) => ({
        address: place.address,
        port: number,
        protocol,
        tcp: chainsAt(input, port, place),
      }));
    case "auto":
      return tcpPlaces(input, port).map((place) => ({
        address: place.address,
        port: number,
        protocol,
        tcp: chainsAt(input, port, place),
        route:
          place.address === wildcardAddress
            ? routeName({ kind: "port", port: number })
            : routeName({ kind: "service", host: service.host, port: number }),
      }));
    case "none":
      return [];
  }
}

/** What a service needs of a listener for all ports: HTTP tells the port by itself, other bytes go to a service's only one. */
function everyPortSlots(
  input: SlotInput,
  bind: string | undefined,
  { number, protocol }: ListenerPort,
): readonly Slot[] {
  if (isHttp(protocol)) {
    const socket = number === 0 && bind !== undefined;
    const route = routeName(socket ? { kind: "socket", bind } : { kind: "proxy", port: number });
    return [{ address: bind ?? wildcardAddress, port: number, protocol, route, tcp: [] }];
  }
  const [only, ...others] = input.service.ports.filter((port) => port.protocol !== "UDP");
  if (!only || others.length > 0) return [];
  return portSlots(input, { ...only, protocol }).map((slot) => ({ ...slot, port: number }));
}

/** The ports of a service that a listener is for, as it speaks with callers. */
function portsFor({ service, listener }: SlotInput): readonly ServicePort[] {
  const wanted = listener?.port;
  if (!wanted) return service.ports;
  return service.ports
    .filter(({ number, protocol }) => number === wanted.number && protocol !== "UDP")
    .map((port) => ({ ...port, protocol: wanted.protocol }));
}

/** What a service needs of listeners. */
export function serviceSlots(input: SlotInput): readonly Slot[] {
  // What is another name of a service is called by the address of that one.
  if (input.service.resolution === "ALIAS") return [];
  const { listener } = input;
  const slots =
    listener?.everyPort && listener.port
      ? everyPortSlots(input, listener.bind, listener.port)
      : portsFor(input).flatMap((port) => portSlots(input, port));
  return listener?.bound ? slots.map((slot) => ({ ...slot, bound: true })) : slots;
}
