import { create } from "@bufbuild/protobuf";
import type { MeshSettings } from "#model/mesh.ts";
import {
  type Cluster,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
  ClusterSchema,
} from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { inboundBind } from "../address.ts";
import { protoDuration } from "../duration.ts";
import { dynamicDiscovery } from "../dynamic-dns.ts";
import { blackHoleCluster, inboundPassthroughCluster, lookedUpCluster, passthroughCluster } from "../names.ts";
import { connectionMembers } from "./outbound.ts";
import { passthroughOptions } from "./protocol.ts";
import { checksNames, dynamicNames, transport } from "./transport.ts";

/** The cluster without endpoints. */
export function blackHole(mesh: MeshSettings): Cluster {
  return create(ClusterSchema, {
    name: blackHoleCluster,
    altStatName: `${blackHoleCluster};`,
    clusterDiscoveryType: { case: "type", value: DiscoveryType.STATIC },
    connectTimeout: protoDuration(mesh.connectTimeout),
    lbPolicy: LbPolicy.ROUND_ROBIN,
  });
}

function passthroughTo(name: string, mesh: MeshSettings): Cluster {
  return create(ClusterSchema, {
    name,
    altStatName: `${name};`,
    clusterDiscoveryType: { case: "type", value: DiscoveryType.ORIGINAL_DST },
    lbPolicy: LbPolicy.CLUSTER_PROVIDED,
    ...connectionMembers(name === passthroughCluster ? mesh.defaultTrafficPolicy?.connectionPool : undefined, mesh),
    typedExtensionProtocolOptions: passthroughOptions(),
  });
}

/** The cluster that connects to where the client wanted to go. */
export function passthrough(mesh: MeshSettings): Cluster {
  return passthroughTo(passthroughCluster, mesh);
}

/** The cluster for requests whose hosts are looked up since no service claims them, with the TLS that the mesh says. */
export function lookedUp(mesh: MeshSettings): Cluster {
  const { tls: asked } = mesh.outboundTrafficPolicy;
  // Sidecars may not read what a mesh-wide name of a Secret would stand for.
  const tls = (asked?.credentialName ?? "") === "" ? asked : undefined;
  const names = dynamicNames(tls);
  return create(ClusterSchema, {
    name: lookedUpCluster,
    altStatName: `${lookedUpCluster};`,
    ...dynamicDiscovery(checksNames(names)),
    lbPolicy: LbPolicy.CLUSTER_PROVIDED,
    ...connectionMembers(undefined, mesh),
    typedExtensionProtocolOptions: passthroughOptions(names),
    ...transport({
      tls,
      readsSecrets: false,
      identified: false,
      subjectAltNames: [],
      http2: false,
      proxyProtocol: undefined,
      tlsDefaults: mesh.tlsDefaults,
    }),
  });
}

/** The cluster for connections to ports of the workload that no service names. */
export function inboundPassthrough(mesh: MeshSettings, ipv6: boolean): Cluster {
  const cluster = passthroughTo(inboundPassthroughCluster, mesh);
  cluster.upstreamBindConfig = inboundBind(ipv6);
  return cluster;
}
