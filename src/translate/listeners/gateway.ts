import { create } from "@bufbuild/protobuf";
import type { Server } from "#api/istio/gateway.ts";
import type { MeshSettings } from "#model/mesh.ts";
import { isHttp, parseProtocol } from "#model/protocol.ts";
import { TrafficDirection } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import { type Listener, ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { socketAddress } from "../address.ts";
import { listenerName, routeName } from "../names.ts";
import { listenerAccessLog } from "./access-log.ts";
import { httpManager } from "./network.ts";
import { wildcardAddress } from "./slots.ts";

/** A gateway's listener before it is made. */
export interface GatewayListenerPlan {
  readonly address: string;
  readonly port: number;
  readonly grpcWeb: boolean;
}

/** Whether translation serves a server: HTTP without TLS. Others need certificates and are a finding. */
export function isServed({ port, tls }: Server): boolean {
  const protocol = parseProtocol(port.protocol);
  return protocol !== undefined && isHttp(protocol) && (tls?.mode === undefined || tls.httpsRedirect === true);
}

/** A server of a Gateway, and the port of the proxies that serves it. */
export interface PlacedServer {
  readonly server: Server;
  readonly port: number;
}

/** Listeners by name; servers of one address and port share one. */
export function planGatewayListeners(servers: readonly PlacedServer[]): ReadonlyMap<string, GatewayListenerPlan> {
  const plans = new Map<string, GatewayListenerPlan>();
  for (const { server, port } of servers) {
    if (!isServed(server)) continue;
    const address = server.bind === undefined || server.bind === "" ? wildcardAddress : server.bind;
    const name = listenerName(address, port);
    const grpcWeb = parseProtocol(server.port.protocol) === "GRPC-Web";
    plans.set(name, { address, port, grpcWeb: grpcWeb || plans.get(name)?.grpcWeb === true });
  }
  return plans;
}

/** A gateway's listener: `0.0.0.0_8080`, whose routes are `http.8080`. */
export function gatewayListener({ address, port, grpcWeb }: GatewayListenerPlan, mesh: MeshSettings): Listener {
  const name = listenerName(address, port);
  const routes = { kind: "rds", name: routeName({ kind: "gateway", port }) } as const;
  return create(ListenerSchema, {
    name,
    address: socketAddress(address, port),
    trafficDirection: TrafficDirection.OUTBOUND,
    maxConnectionsToAcceptPerSocketEvent: 1,
    filterChains: [
      { filters: [httpManager({ statPrefix: `outbound_${name};`, routes, side: "gateway", grpcWeb }, mesh)] },
    ],
    accessLog: listenerAccessLog(mesh),
  });
}
