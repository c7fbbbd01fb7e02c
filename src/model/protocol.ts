import type { SidecarPort } from "#api/istio/common.ts";
import { ownValue } from "#api/record.ts";

/**
 * The protocol of a service port, in Istio's words. `Auto` is told from the first bytes of each connection.
 */
export type Protocol =
  | "HTTP"
  | "HTTP2"
  | "GRPC"
  | "GRPC-Web"
  | "HTTPS"
  | "TLS"
  | "TCP"
  | "UDP"
  | "Mongo"
  | "Redis"
  | "MySQL"
  | "Auto";

const byName: Readonly<Record<string, Protocol>> = {
  http: "HTTP",
  http2: "HTTP2",
  grpc: "GRPC",
  "grpc-web": "GRPC-Web",
  https: "HTTPS",
  tls: "TLS",
  tcp: "TCP",
  udp: "UDP",
  mongo: "Mongo",
  redis: "Redis",
  mysql: "MySQL",
};

/** Kubernetes' own names for application protocols. */
const kubernetesNames: Readonly<Record<string, Protocol>> = {
  "kubernetes.io/h2c": "HTTP2",
  "kubernetes.io/ws": "HTTP",
  "kubernetes.io/wss": "HTTPS",
};

/** Ports whose servers talk first, so that waiting for the client's first bytes would hang: SMTP, DNS, MySQL, MongoDB. */
export const serverFirstPorts: ReadonlySet<number> = new Set([25, 53, 3306, 27_017]);

/** A protocol by the word that users write, in any case; undefined for an unknown one. */
export function parseProtocol(word: string): Protocol | undefined {
  return ownValue(byName, word.toLowerCase());
}

/** The protocol of a port that a Sidecar names; what proxies are asked in is HTTP. */
export function sidecarProtocol({ protocol = "" }: SidecarPort): Protocol {
  return protocol.toLowerCase() === "http_proxy" ? "HTTP" : (parseProtocol(protocol) ?? "Auto");
}

/** The protocol that a word tells by its first part, as in `http-admin`. */
function fromWord(word: string): Protocol | undefined {
  const lower = word.toLowerCase();
  return lower.startsWith("grpc-web") ? "GRPC-Web" : ownValue(byName, lower.split("-")[0] ?? "");
}

/** A Kubernetes service port, as far as its protocol depends on it. */
export interface PortWords {
  readonly name: string;
  readonly number: number;
  /** Kubernetes' transport: `TCP`, `UDP` or `SCTP`. */
  readonly transport: string;
  readonly appProtocol?: string | undefined;
}

/**
 * The protocol of a Kubernetes service port: by `appProtocol` where it is set, else by the port's name, else plain TCP
 * for well-known server-first ports, else sniffed.
 */
export function portProtocol(port: PortWords): Protocol {
  if (port.transport === "UDP" || port.transport === "SCTP") return "UDP";
  const { appProtocol } = port;
  const told = appProtocol === undefined ? undefined : ownValue(kubernetesNames, appProtocol);
  return told ?? fromWord(appProtocol ?? port.name) ?? (serverFirstPorts.has(port.number) ? "TCP" : "Auto");
}

/** How a listener treats a port of the protocol. */
export type ListenerProtocol = "http" | "tcp" | "auto" | "none";

const httpProtocols: ReadonlySet<Protocol> = new Set(["HTTP", "HTTP2", "GRPC", "GRPC-Web"]);

/** Whether requests of the protocol can be routed one by one. */
export function isHttp(protocol: Protocol): boolean {
  return httpProtocols.has(protocol);
}

/** Whether the protocol is HTTP/2 on the wire. */
export function isHttp2(protocol: Protocol): boolean {
  return protocol === "HTTP2" || protocol === "GRPC" || protocol === "GRPC-Web";
}

/** Whether the application speaks TLS itself. */
export function isTls(protocol: Protocol): boolean {
  return protocol === "HTTPS" || protocol === "TLS";
}

/** How a listener treats a port of the protocol. */
export function listenerProtocol(protocol: Protocol): ListenerProtocol {
  if (isHttp(protocol)) return "http";
  if (protocol === "Auto") return "auto";
  return protocol === "UDP" ? "none" : "tcp";
}
