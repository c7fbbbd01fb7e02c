import { create } from "@bufbuild/protobuf";
import type { MeshSettings } from "#model/mesh.ts";
import { TrafficDirection } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import { type FilterChain, FilterChainSchema } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { type Listener, ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { listenAddress, udpAddress } from "../address.ts";
import { singleTarget } from "../connections/chain.ts";
import { protoDuration } from "../duration.ts";
import { listenerAccessLog } from "../listeners/access-log.ts";
import { connectionFilters } from "../listeners/connection-filters.ts";
import { connectionSettings } from "../listeners/http-settings.ts";
import { httpManager, proxyProtocol, tlsInspector } from "../listeners/network.ts";
import { meshCallers } from "../mesh-tls.ts";
import { configPath, istioMetadata } from "../metadata.ts";
import { blackHoleCluster, listenerName, quicName } from "../names.ts";
import type { SecurityFilters } from "../security-filters.ts";
import type { GatewayChain, GatewayListenerPlan } from "./plan.ts";
import { needsIdentity, serverQuic, serverTls } from "./tls.ts";

/** How long a TLS handshake may take, so that callers who never end one hold nothing for ever; Istio's default. */
const handshakeTimeout = protoDuration("15s");

/** What a gateway's listeners are made with. */
interface GatewayContext {
  readonly mesh: MeshSettings;
  /** Filters of policies. */
  readonly security: SecurityFilters;
  /** Whether its proxies have certificates of the mesh. */
  readonly identified: boolean;
}

/** A listener, as far as its chains depend on it. */
interface Named {
  readonly name: string;
  readonly quic: boolean;
}

function filters(chain: GatewayChain, { name, quic }: Named, { mesh, security, identified: calls }: GatewayContext) {
  if (chain.kind === "tcp") {
    // Of who is passed on nothing is known here that a policy could be about: the workload's own proxy asks.
    return [...(chain.passed ? [] : security.network), ...connectionFilters(chain.target, mesh)];
  }
  const { routes, grpcWeb, statPrefix = `outbound_${name};` } = chain;
  const rds = { kind: "rds", name: routes } as const;
  return [
    httpManager({ statPrefix, routes: rds, side: "gateway", grpcWeb, quic, security: security.http, calls }, mesh),
  ];
}

function filterChain(chain: GatewayChain, listener: Named, context: GatewayContext): FilterChain {
  const { mesh } = context;
  const { serverNames } = chain;
  // A gateway without a certificate of the mesh would wait for one, and all of its listener with it: nobody is let in.
  const closed = !listener.quic && chain.tls !== undefined && needsIdentity(chain.tls) && !context.identified;
  const tls = closed ? undefined : chain.tls;
  const { identified } = context;
  // A workload takes TLS with these protocols as the mesh's, and so checks it, whatever else it would take.
  const protocols = chain.kind === "tcp" && chain.passed ? { applicationProtocols: meshCallers } : {};
  return create(FilterChainSchema, {
    ...(serverNames.length > 0 && { filterChainMatch: { serverNames: [...serverNames], ...protocols } }),
    filters: closed ? connectionFilters(singleTarget(blackHoleCluster), mesh) : filters(chain, listener, context),
    transportSocketConnectTimeout: handshakeTimeout,
    ...(tls && {
      transportSocket: listener.quic ? serverQuic(tls, mesh.tlsDefaults, identified) : serverTls(tls, mesh.tlsDefaults),
    }),
    ...(chain.kind === "tcp" && chain.origin && { metadata: istioMetadata({ config: configPath(chain.origin) }) }),
  });
}

/** Where a listener takes what comes: connections, or packets of QUIC. */
function place({ address, port, quic }: GatewayListenerPlan) {
  if (!quic) return { address: listenAddress(address, port) };
  return { address: udpAddress(address, port), udpListenerConfig: { quicOptions: {}, downstreamSocketConfig: {} } };
}

/** A gateway's listener: `0.0.0.0_8080`, for HTTP/3 `udp_0.0.0.0_8443`. */
export function gatewayListener(plan: GatewayListenerPlan, context: GatewayContext): Listener {
  const { mesh } = context;
  const { address, port, quic = false, chains } = plan;
  const connections = listenerName(address, port);
  const name = quic ? quicName(connections) : connections;
  const { defaultConfig: config } = mesh;
  const { listenerPerConnectionBufferLimitBytes: buffer } = connectionSettings("gateway", config);
  const announced = config.gatewayTopology?.proxyProtocol !== undefined;
  const inspects = chains.some(({ serverNames, tls }) => serverNames.length > 0 || tls !== undefined);
  return create(ListenerSchema, {
    name,
    ...place(plan),
    trafficDirection: TrafficDirection.OUTBOUND,
    maxConnectionsToAcceptPerSocketEvent: 1,
    // Their time is Envoy's own 15 s, unlike that of sidecars: callers who say nothing are not waited for.
    listenerFilters: quic ? [] : [...(announced ? [proxyProtocol()] : []), ...(inspects ? [tlsInspector()] : [])],
    ...(buffer !== undefined && { perConnectionBufferLimitBytes: buffer }),
    filterChains: chains.map((chain) => filterChain(chain, { name, quic }, context)),
    accessLog: listenerAccessLog(mesh),
  });
}
