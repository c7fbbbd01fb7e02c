import { create } from "@bufbuild/protobuf";
import type { MeshSettings } from "#model/mesh.ts";
import { TrafficDirection } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import { type FilterChain, FilterChainSchema } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { type Listener, ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { socketAddress } from "../address.ts";
import { protoDuration } from "../duration.ts";
import { listenerAccessLog } from "../listeners/access-log.ts";
import { connectionFilters } from "../listeners/connection-filters.ts";
import { httpManager, tlsInspector } from "../listeners/network.ts";
import { configPath, istioMetadata } from "../metadata.ts";
import { listenerName } from "../names.ts";
import type { GatewayChain, GatewayListenerPlan } from "./plan.ts";
import { serverTls } from "./tls.ts";

/** How long a TLS handshake may take, so that callers who never end one hold nothing for ever; Istio's default. */
const handshakeTimeout = protoDuration("15s");

function filters(chain: GatewayChain, name: string, mesh: MeshSettings) {
  if (chain.kind === "tcp") return connectionFilters(chain.target, mesh);
  const { routes, grpcWeb, statPrefix = `outbound_${name};` } = chain;
  return [httpManager({ statPrefix, routes: { kind: "rds", name: routes }, side: "gateway", grpcWeb }, mesh)];
}

function filterChain(chain: GatewayChain, name: string, mesh: MeshSettings): FilterChain {
  const { serverNames, tls } = chain;
  return create(FilterChainSchema, {
    ...(serverNames.length > 0 && { filterChainMatch: { serverNames: [...serverNames] } }),
    filters: filters(chain, name, mesh),
    transportSocketConnectTimeout: handshakeTimeout,
    ...(tls && { transportSocket: serverTls(tls) }),
    ...(chain.kind === "tcp" && chain.origin && { metadata: istioMetadata({ config: configPath(chain.origin) }) }),
  });
}

/** A gateway's listener: `0.0.0.0_8080`. */
export function gatewayListener({ address, port, chains }: GatewayListenerPlan, mesh: MeshSettings): Listener {
  const name = listenerName(address, port);
  const inspects = chains.some(({ serverNames, tls }) => serverNames.length > 0 || tls !== undefined);
  return create(ListenerSchema, {
    name,
    address: socketAddress(address, port),
    trafficDirection: TrafficDirection.OUTBOUND,
    maxConnectionsToAcceptPerSocketEvent: 1,
    // Their time is Envoy's own 15 s, unlike that of sidecars: callers who say nothing are not waited for.
    listenerFilters: inspects ? [tlsInspector()] : [],
    filterChains: chains.map((chain) => filterChain(chain, name, mesh)),
    accessLog: listenerAccessLog(mesh),
  });
}
