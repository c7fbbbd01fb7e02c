import type { ServerTLSSettings } from "#api/istio/common.ts";
import { hostMatches } from "#api/istio/hosts.ts";
import { parseProtocol } from "#model/protocol.ts";
import {
  connectionSettings,
  firstTcpTarget,
  singleTarget,
  speaking,
  type TcpChain,
  type TcpTarget,
  tlsChains,
} from "../connections/chain.ts";
import type { ConnectionRule } from "../connections/rule.ts";
import { withoutOverlaps } from "../listeners/chains.ts";
import type { ClusterName } from "../names.ts";
import type { Destinations } from "../routes/destination.ts";
import { type PlacedServer, serverAddress, serverHosts, serverKind, serverRoutes } from "./server.ts";

/** One way that connections of a gateway's listener go, before it is made. */
export type GatewayChain = {
  /** Server names of TLS greetings in lower case; empty for all. */
  readonly serverNames: readonly string[];
  /** Always empty: a gateway has one address, which says nothing. */
  readonly destinations: readonly string[];
  /** TLS that ends here. */
  readonly tls?: ServerTLSSettings;
} & (
  | {
      readonly kind: "http";
      /** Name of the route configuration. */
      readonly routes: string;
      /** In place of the listener's name in statistics. */
      readonly statPrefix?: string;
      readonly grpcWeb: boolean;
    }
  | {
      readonly kind: "tcp";
      readonly target: TcpTarget;
      readonly origin?: TcpChain["origin"];
      /** Present where it is for callers of the mesh only, who are passed on without a question. */
      readonly passed?: true;
    }
);

/** A gateway's listener before it is made. */
export interface GatewayListenerPlan {
  readonly address: string;
  readonly port: number;
  /** Whether it is for HTTP/3, over QUIC. */
  readonly quic?: true;
  readonly chains: readonly GatewayChain[];
}

/** What the chains of a server are made with. */
export interface GatewayRouting {
  /** Rules for connections of the VirtualServices that are bound to a server, in the order of precedence. */
  readonly rulesOf: (server: PlacedServer) => readonly ConnectionRule[];
  readonly known: Destinations;
  /** Clusters to which TLS of the mesh is passed on, by the server names that they are. */
  readonly passed: () => readonly PassedCluster[];
}

/** A cluster to which TLS of the mesh is passed on. */
export interface PassedCluster extends Pick<ClusterName, "port" | "subset" | "host"> {
  readonly name: string;
  readonly statPrefix: string;
}

function serverNames({ server }: PlacedServer): readonly string[] {
  const hosts = serverHosts(server);
  return hosts.includes("*") ? [] : hosts;
}

function httpChain(servers: readonly PlacedServer[], routes: string): GatewayChain {
  const grpcWeb = servers.some(({ server }) => parseProtocol(server.port.protocol) === "GRPC-Web");
  return { kind: "http", serverNames: [], destinations: [], routes, grpcWeb };
}

function httpsChain(placed: PlacedServer, routes: string): GatewayChain {
  const { name: statPrefix = "", tls } = placed.server;
  return {
    kind: "http",
    serverNames: serverNames(placed),
    destinations: [],
    routes,
    grpcWeb: false,
    ...(tls && { tls }),
    ...(statPrefix !== "" && { statPrefix }),
  };
}

/** The chain of a server whose bytes go on, to where the first route for its port says; none without such a route. */
function bytesChain(placed: PlacedServer, { rulesOf, known }: GatewayRouting): readonly GatewayChain[] {
  const { gateway, server } = placed;
  const found = firstTcpTarget(rulesOf(placed), { port: server.port.number, gateway }, known);
  if (!found) return [];
  const { tls } = server;
  const target = speaking(found.target, parseProtocol(server.port.protocol));
  return [
    {
      kind: "tcp",
      serverNames: tls ? serverNames(placed) : [],
      destinations: [],
      ...found,
      target,
      ...(tls && { tls }),
    },
  ];
}

function passedChains(placed: PlacedServer, { rulesOf, known }: GatewayRouting): readonly GatewayChain[] {
  const place = { port: placed.server.port.number, gateway: placed.gateway };
  return tlsChains(rulesOf(placed), { place, known, destinations: [] }).map((chain) => ({
    kind: "tcp",
    ...chain,
    destinations: [],
  }));
}

/** A chain for each cluster of a host that the server has: no route says more than the server name does. */
function autoPassedChains({ server }: PlacedServer, { known, passed }: GatewayRouting): readonly GatewayChain[] {
  const hosts = serverHosts(server);
  return passed()
    .filter(({ host }) => hosts.some((pattern) => hostMatches(pattern, host)))
    .map(({ name, statPrefix, port, subset, host }) => {
      const { tunnel: _unused, ...settings } = connectionSettings(known.rule(host), subset, port);
      return {
        kind: "tcp",
        passed: true,
        serverNames: [name.toLowerCase()],
        destinations: [],
        target: { ...singleTarget(name), statPrefix, ...settings },
      };
    });
}

function chainsOf(placed: PlacedServer, routing: GatewayRouting): readonly GatewayChain[] {
  switch (serverKind(placed.server)) {
    case "https":
      return [httpsChain(placed, serverRoutes(placed) ?? "")];
    case "tcp":
    case "tls":
      return bytesChain(placed, routing);
    case "passthrough":
      return passedChains(placed, routing);
    case "auto-passthrough":
      return autoPassedChains(placed, routing);
    case "http":
    case undefined:
      return [];
  }
}

/** The listener of servers that share an address and port; undefined where no connection would go anywhere. */
export function planGatewayListener(
  servers: readonly PlacedServer[],
  routing: GatewayRouting,
): GatewayListenerPlan | undefined {
  const [first] = servers;
  if (!first) return undefined;
  const plain = servers.filter(({ server }) => serverKind(server) === "http");
  const [clear] = plain;
  const chains = withoutOverlaps([
    ...servers.flatMap((placed) => chainsOf(placed, routing)),
    ...(clear ? [httpChain(plain, serverRoutes(clear) ?? "")] : []),
  ]);
  return chains.length > 0 ? { address: serverAddress(first.server), port: first.port, chains } : undefined;
}

/** The listener for HTTP/3 beside that of servers which take it; undefined without any. */
export function planQuicListener(servers: readonly PlacedServer[]): GatewayListenerPlan | undefined {
  const [first] = servers;
  if (!first) return undefined;
  const chains = withoutOverlaps(servers.map((placed) => httpsChain(placed, serverRoutes(placed) ?? "")));
  return { address: serverAddress(first.server), port: first.port, quic: true, chains };
}
