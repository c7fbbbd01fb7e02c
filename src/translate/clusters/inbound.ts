import { create } from "@bufbuild/protobuf";
import type { ConnectionPoolSettings } from "#api/istio/common.ts";
import type { MergedRule } from "#model/destinationrules.ts";
import { type IngressEndpoint, ingressEndpoint } from "#model/ingress.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { InboundPort } from "#model/workloads.ts";
import {
  type Cluster,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
  ClusterSchema,
} from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { inboundBind, pipe, socketAddress } from "../address.ts";
import { protoMilliseconds } from "../duration.ts";
import { headerCase } from "../listeners/http-settings.ts";
import { istioMetadata } from "../metadata.ts";
import { clusterName } from "../names.ts";
import { connectionMembers } from "./outbound.ts";
import { settledPolicy } from "./policy.ts";
import { httpOptions } from "./protocol.ts";
import { statName } from "./stat-name.ts";

/** As long as Envoy takes: the one host of the cluster is never cleaned up while idle. */
const forever = protoMilliseconds(9_223_372_035_000);

/** What the cluster of a workload's own port is made from. */
export interface InboundCluster {
  readonly port: InboundPort;
  /** What applies to the leading service: its limits hold on the receiving side too. */
  readonly rule: MergedRule | undefined;
  /** Limits of the Sidecar, which win over the rule's; those of its port over both. */
  readonly pool: ConnectionPoolSettings | undefined;
  /** Whether connections of IPv6 come to it. */
  readonly ipv6: boolean;
  readonly mesh: MeshSettings;
}

/** What kind of cluster leads to where the application listens, with its endpoint where that is one. */
function destination(name: string, endpoint: IngressEndpoint, ipv6: boolean) {
  if (endpoint.kind === "same" || endpoint.kind === "instance") {
    return {
      clusterDiscoveryType: { case: "type" as const, value: DiscoveryType.ORIGINAL_DST },
      lbPolicy: LbPolicy.CLUSTER_PROVIDED,
      cleanupInterval: forever,
      upstreamBindConfig: inboundBind(ipv6),
      ...(endpoint.kind === "instance" && {
        lbConfig: { case: "originalDstLbConfig" as const, value: { upstreamPortOverride: endpoint.port } },
      }),
    };
  }
  const address = endpoint.kind === "socket" ? pipe(endpoint.path) : socketAddress(endpoint.address, endpoint.port);
  const lbEndpoint = { hostIdentifier: { case: "endpoint" as const, value: { address } } };
  return {
    clusterDiscoveryType: { case: "type" as const, value: DiscoveryType.STATIC },
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [lbEndpoint] }] },
  };
}

/** What statistics of a workload's port are called. */
export function inboundStatName({ port, targets: [first] }: InboundPort, mesh: MeshSettings): string {
  const { port: number, portName: name } = first;
  return statName(mesh.inboundClusterStatName, first, { number, name, target: port }, clusterName("inbound", port));
}

/** Where the application listens: as its Sidecar says, else as the mesh does for all. */
function endpointOf({ port, ingress }: InboundPort, mesh: MeshSettings): IngressEndpoint {
  if (ingress) return ingressEndpoint(ingress);
  const local = mesh.inboundTrafficPolicy.mode === "LOCALHOST";
  return local ? { kind: "address", address: "127.0.0.1", port } : { kind: "same" };
}

/** The cluster that leads to a port of the application, at the address that the caller used unless a Sidecar says another. */
export function inboundCluster({ port, rule, pool, ipv6, mesh }: InboundCluster): Cluster {
  const name = clusterName("inbound", port.port);
  const [first] = port.targets;
  const limits = port.ingress?.connectionPool ?? pool ?? settledPolicy(mesh, rule?.spec, "", first.port).connectionPool;
  const services = port.targets
    .filter((target) => target.port === first.port)
    .map(({ host, name: short, namespace }) => ({ host, name: short, namespace }));
  return create(ClusterSchema, {
    name,
    altStatName: `${inboundStatName(port, mesh)};`,
    ...destination(name, endpointOf(port, mesh), ipv6),
    ...connectionMembers(limits, mesh),
    typedExtensionProtocolOptions: httpOptions({
      protocol: port.protocol,
      // The application speaks what its port says, whatever callers were asked to upgrade to.
      pool: { ...limits, http: { ...limits?.http, h2UpgradePolicy: "DO_NOT_UPGRADE" } },
      h2Upgrade: "DO_NOT_UPGRADE",
      sniffing: true,
      http1: headerCase(mesh.defaultConfig),
    }),
    metadata: istioMetadata({ services }),
  });
}
