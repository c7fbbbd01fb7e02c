/** Names of Envoy resources in Istio's formats. */

/** Where traffic of a cluster comes from, seen from the proxy. */
export type Direction = "inbound" | "outbound";

/** What a cluster's name says. */
export interface ClusterName {
  readonly direction: Direction;
  readonly port: number;
  /** Empty for all endpoints of the service. */
  readonly subset: string;
  /** Host name of the service; empty for inbound clusters. */
  readonly host: string;
  /** Present for a cluster to which gateways pass on TLS of the mesh: its name is the server name that is asked for. */
  readonly passed?: true;
}

/** Takes connections that iptables redirected from the application. */
export const virtualOutbound = "virtualOutbound";
/** Takes connections that iptables redirected to the application. */
export const virtualInbound = "virtualInbound";
/** Cluster without endpoints: what reaches it is refused. */
export const blackHoleCluster = "BlackHoleCluster";
/** Cluster that connects to where the client wanted to go. */
export const passthroughCluster = "PassthroughCluster";
/** Cluster that connects to the host that a request is for, at its address by DNS. */
export const lookedUpCluster = "AllowAnyDynamicDNSCluster";
/** Cluster that hands connections to the application on the port they came for. */
export const inboundPassthroughCluster = "InboundPassthroughCluster";
/** Listens for redirected outbound connections. */
export const outboundPort = 15001;
/** Listens for redirected inbound connections. */
export const inboundPort = 15006;

/** `outbound|9080|v1|reviews.shop.svc.cluster.local`, `inbound|9080||`. */
export function clusterName(direction: Direction, port: number, subset = "", host = ""): string {
  return `${direction}|${port}|${subset}|${host}`;
}

/**
 * The server name by which a cluster of the mesh is asked for, and the name of that cluster at gateways which pass it on:
 * `outbound_.9080_.v1_.reviews.shop.svc.cluster.local`.
 */
export function meshServerName(port: number, subset: string, host: string): string {
  return `outbound_.${port}_.${subset}_.${host}`;
}

/** The parts of a cluster's name, or undefined for a name of another form. */
export function parseClusterName(name: string): ClusterName | undefined {
  const parts = /^(inbound|outbound)\|(\d+)\|([^|]*)\|(.*)$/.exec(name);
  if (parts) {
    const [, direction, port, subset = "", host = ""] = parts;
    return { direction: direction as Direction, port: Number(port), subset, host };
  }
  const passed = /^outbound_\.(\d+)_\.(.*?)_\.(.*)$/.exec(name);
  if (!passed) return undefined;
  const [, port, subset = "", host = ""] = passed;
  return { direction: "outbound", port: Number(port), subset, host, passed: true };
}

/** `10.110.0.7_9080`; an IPv6 address stands as it is. */
export function listenerName(address: string, port: number): string {
  return `${address}_${port}`;
}

const quicPrefix = "udp_";

/** The name of the listener for HTTP/3 beside another: `udp_0.0.0.0_8443`. */
export function quicName(listener: string): string {
  return `${quicPrefix}${listener}`;
}

/** The name of the listener beside which one for HTTP/3 is; that of any other as it is. */
export function besideQuic(listener: string): string {
  return listener.startsWith(quicPrefix) ? listener.slice(quicPrefix.length) : listener;
}

/** What a name of a sidecar's route configuration asks for. */
export type RouteName =
  /** Every HTTP service on a port: `9080`. */
  | { readonly kind: "port"; readonly port: number }
  /** One service on a port whose protocol is sniffed: `reviews.shop.svc.cluster.local:9080`. */
  | { readonly kind: "service"; readonly host: string; readonly port: number }
  /** Every HTTP service on all ports, for callers at a Unix socket: `unix:///run/proxy.sock`. */
  | { readonly kind: "socket"; readonly bind: string }
  /** The same for callers of a Sidecar's HTTP proxy on a port: `http_proxy.7777`; of the mesh's, port 0: `http_proxy`. */
  | { readonly kind: "proxy"; readonly port: number };

const httpProxy = "http_proxy";

/** The name of a route configuration. */
export function routeName(name: RouteName): string {
  switch (name.kind) {
    case "port":
      return String(name.port);
    case "service":
      return `${name.host}:${name.port}`;
    case "socket":
      return name.bind;
    case "proxy":
      return name.port === 0 ? httpProxy : `${httpProxy}.${name.port}`;
  }
}

/** What a route configuration's name asks for, or undefined. */
export function parseRouteName(name: string): RouteName | undefined {
  const proxy = /^http_proxy(?:\.(\d+))?$/.exec(name);
  if (proxy) return { kind: "proxy", port: Number(proxy[1] ?? 0) };
  if (name.startsWith("unix://")) return { kind: "socket", bind: name };
  if (/^\d+$/.test(name)) return { kind: "port", port: Number(name) };
  const service = /^(.+):(\d+)$/.exec(name);
  if (service) return { kind: "service", host: service[1] ?? "", port: Number(service[2]) };
  return undefined;
}
