import type { Server } from "#api/istio/gateway.ts";
import { isHttp, parseProtocol } from "#model/protocol.ts";
import { listenerName } from "../names.ts";
import { canEnd, canQuic } from "./tls.ts";
import { wildcardAddress } from "../listeners/slots.ts";
import type { GatewayRouteView } from "../view.ts";

/**
 * What becomes of a server's connections: HTTP in clear text; HTTP within TLS that ends here; bytes as they are; bytes
 * within TLS that ends here; TLS that is passed on by its server name, as routes say; TLS of the mesh that is passed on to the
 * cluster which the server name is.
 */
export type ServerKind = "http" | "https" | "tcp" | "tls" | "passthrough" | "auto-passthrough";

/** A server of a Gateway, and where its proxies serve it. */
export interface PlacedServer {
  /** The Gateway, `namespace/name`. */
  readonly gateway: string;
  /** The server's place in the Gateway's list. */
  readonly index: number;
  readonly server: Server;
  /** The proxies' port, which the Service in front of them may have under another number. */
  readonly port: number;
}

/** What becomes of a server's connections; undefined for what is not served, which is a finding. */
export function serverKind({ port, tls }: Server): ServerKind | undefined {
  const protocol = parseProtocol(port.protocol);
  if (protocol === undefined || protocol === "UDP") return undefined;
  if (isHttp(protocol)) return "http";
  if (!tls) return "tcp";
  if ((tls.mode ?? "PASSTHROUGH") === "PASSTHROUGH") return "passthrough";
  if (tls.mode === "AUTO_PASSTHROUGH") return "auto-passthrough";
  if (!canEnd(tls)) return undefined;
  return protocol === "HTTPS" ? "https" : "tls";
}

/** Whether a server passes TLS of the mesh on by itself. */
export function isAutoPassthrough(server: Server): boolean {
  return serverKind(server) === "auto-passthrough";
}

/** The address that a server listens on. */
export function serverAddress({ bind = "" }: Server): string {
  return bind === "" ? wildcardAddress : bind;
}

/** Hosts of a server without the namespaces that they are for. */
export function serverHosts({ hosts }: Server): readonly string[] {
  return hosts.map((host) => host.slice(host.indexOf("/") + 1).toLowerCase());
}

/**
 * The name of a server's route configuration, in Istio's form: servers in clear text share that of their address and
 * port (`http.8080`), others have their own (`https.443.https.edge.istio-system`). Undefined where no HTTP is spoken.
 */
export function serverRoutes({ gateway, server, port }: PlacedServer): string | undefined {
  const { bind = "" } = server;
  const at = bind === "" ? "" : `.${bind}`;
  const kind = serverKind(server);
  if (kind === "http") return `http.${port}${at}`;
  if (kind !== "https") return undefined;
  const [namespace = "", name = ""] = gateway.split("/");
  return `https.${server.port.number}.${server.port.name}.${name}.${namespace}${at}`;
}

/** Whether callers of a server may speak HTTP/3 too. */
export function takesHttp3({ server }: PlacedServer, { udpPorts = [] }: GatewayRouteView): boolean {
  return serverKind(server) === "https" && canQuic(server.tls ?? {}) && udpPorts.includes(server.port.number);
}

/** A server that is left out, and the one before it that it cannot stand beside. */
interface LeftOut {
  readonly server: PlacedServer;
  readonly before: PlacedServer;
  /** Hosts that both have; empty where it is what they speak that differs. */
  readonly hosts: readonly string[];
}

/** Servers as the proxies serve them: by the names of their listeners. */
interface MergedServers {
  readonly listeners: ReadonlyMap<string, readonly PlacedServer[]>;
  readonly leftOut: readonly LeftOut[];
}

function isPlain({ server }: PlacedServer): boolean {
  const kind = serverKind(server);
  return kind === "http" || kind === "tcp";
}

function isPassed({ server }: PlacedServer): boolean {
  const kind = serverKind(server);
  return kind === "passthrough" || kind === "auto-passthrough";
}

function conflict(server: PlacedServer, others: readonly PlacedServer[]): LeftOut | undefined {
  const plain = others.find(isPlain);
  if (plain) {
    const joins = [plain, server].every((each) => serverKind(each.server) === "http");
    return joins ? undefined : { server, before: plain, hosts: [] };
  }
  if (isPlain(server)) {
    const whole = others.find((other) => !isPassed(other) && serverHosts(other.server).includes("*"));
    return whole && { server, before: whole, hosts: [] };
  }
  const hosts = serverHosts(server.server);
  for (const other of others) {
    const common = serverHosts(other.server).filter((host) => hosts.includes(host));
    if (common.length > 0) return { server, before: other, hosts: common };
  }
  return undefined;
}

/**
 * Puts servers together that share an address and port: servers with TLS that differ in their hosts, and after them
 * HTTP servers in clear text or one TCP server, which nothing but more such HTTP servers may follow. None in clear text fits
 * beside one that ends TLS for every host. A server that does not fit is left out.
 */
export function mergeServers(servers: readonly PlacedServer[]): MergedServers {
  const listeners = new Map<string, readonly PlacedServer[]>();
  const leftOut: LeftOut[] = [];
  for (const placed of servers) {
    if (serverKind(placed.server) === undefined) continue;
    const name = listenerName(serverAddress(placed.server), placed.port);
    const others = listeners.get(name) ?? [];
    const problem = conflict(placed, others);
    if (problem) leftOut.push(problem);
    else listeners.set(name, [...others, placed]);
  }
  return { listeners, leftOut };
}
