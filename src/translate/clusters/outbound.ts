import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectionPoolSettings } from "#api/istio/common.ts";
import type { MergedRule } from "#model/destinationrules.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { Service, ServicePort } from "#model/service.ts";
import {
  type Cluster,
  type Cluster_CommonLbConfigSchema,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_DnsLookupFamily as DnsLookupFamily,
  Cluster_LbPolicy as LbPolicy,
  ClusterSchema,
} from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import type { ClusterLoadAssignment } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { adsSource } from "../config-source.ts";
import { protoDuration } from "../duration.ts";
import { type LocalityPolicy, weighsLocalities } from "../endpoints/locality.ts";
import { localityPolicy } from "../endpoints/preference.ts";
import { headerCase } from "../listeners/http-settings.ts";
import { configPath, istioMetadata } from "../metadata.ts";
import { offeredPerRequest } from "../mesh-tls.ts";
import { meshServerName } from "../names.ts";
import { circuitBreakers, tcpKeepalive } from "./connection-pool.ts";
import { isPassthrough, loadBalancing } from "./load-balancer.ts";
import { failingResponses, outlierDetection, panicThreshold } from "./outliers.ts";
import { type PortPolicy, settledPolicy } from "./policy.ts";
import { meshTransport, type Peers } from "./mutual-tls.ts";
import { httpOptions, offeredProtocols, speaksHttp2 } from "./protocol.ts";
import { statName } from "./stat-name.ts";
import { dynamicDiscovery, isDynamic } from "../dynamic-dns.ts";
import { checksNames, dynamicNames, namesFromHosts, transport } from "./transport.ts";

/** What an outbound cluster is made from. */
export interface OutboundCluster {
  readonly name: string;
  readonly service: Service;
  readonly port: ServicePort;
  /** Empty for all endpoints. */
  readonly subset: string;
  readonly rule: MergedRule | undefined;
  readonly mesh: MeshSettings;
  readonly proxy: "sidecar" | "router";
  /** Absent for callers that have no certificates of the mesh. */
  readonly peers?: Peers | undefined;
  /** Whether bytes go to it as they are, which are TLS of the mesh already. */
  readonly passed?: true | undefined;
}

/** How Envoy finds the endpoints of a service. */
function discoveryType({ resolution }: Service, policy: PortPolicy, proxy: OutboundCluster["proxy"]): DiscoveryType {
  // A gateway's caller has not chosen one of our addresses, so it always picks an endpoint itself.
  if (proxy === "sidecar" && (isPassthrough(policy.loadBalancer) || resolution === "NONE")) {
    return DiscoveryType.ORIGINAL_DST;
  }
  if (resolution === "DNS") return DiscoveryType.STRICT_DNS;
  return resolution === "DNS_ROUND_ROBIN" ? DiscoveryType.LOGICAL_DNS : DiscoveryType.EDS;
}

/** How a cluster's localities share its requests: each by its weight, or by Envoy's own knowledge of zones. */
function localityConfig(
  policy: LocalityPolicy | undefined,
): Pick<MessageInitShape<typeof Cluster_CommonLbConfigSchema>, "localityConfigSpecifier"> {
  if (policy?.kind === "zones") {
    const { enabled, minClusterSize } = policy.setting;
    const value = {
      ...(enabled === false && { routingEnabled: { value: 0 } }),
      ...(minClusterSize !== undefined && { minClusterSize: BigInt(minClusterSize) }),
    };
    return { localityConfigSpecifier: { case: "zoneAwareLbConfig", value } };
  }
  if (!policy || !weighsLocalities(policy)) return {};
  return { localityConfigSpecifier: { case: "localityWeightedLbConfig", value: {} } };
}

function metadata({ service, subset, rule }: OutboundCluster, perRequest: readonly string[] | undefined) {
  const { host, name, namespace } = service;
  const [origin] = rule?.origins ?? [];
  const { namespace: own, key } = offeredPerRequest;
  return istioMetadata(
    {
      services: [{ host, name, namespace }],
      ...(service.external && { external: true }),
      ...(origin && { config: configPath(origin) }),
      ...(subset !== "" && { subset }),
    },
    perRequest && { [own]: { [key]: perRequest.join(",") } },
  );
}

function discovery(type: DiscoveryType, name: string, mesh: MeshSettings, assignment?: ClusterLoadAssignment) {
  const clusterDiscoveryType = { case: "type" as const, value: type };
  if (type === DiscoveryType.EDS) {
    return { clusterDiscoveryType, edsClusterConfig: { serviceName: name, edsConfig: adsSource } };
  }
  if (type === DiscoveryType.ORIGINAL_DST) return { clusterDiscoveryType };
  return {
    clusterDiscoveryType,
    dnsLookupFamily: DnsLookupFamily.V4_ONLY,
    dnsRefreshRate: protoDuration(mesh.dnsRefreshRate),
    respectDnsTtl: true,
    ...(assignment && { loadAssignment: assignment }),
  };
}

/** A connect timeout, keepalive and limits. */
export function connectionMembers(
  pool: ConnectionPoolSettings | undefined,
  mesh: MeshSettings,
  budget?: PortPolicy["retryBudget"],
) {
  const keepalive = tcpKeepalive(mesh.tcpKeepalive, pool?.tcp?.tcpKeepalive);
  return {
    connectTimeout: protoDuration(pool?.tcp?.connectTimeout ?? mesh.connectTimeout),
    circuitBreakers: circuitBreakers(pool, budget),
    ...(keepalive && { upstreamConnectionOptions: { tcpKeepalive: keepalive } }),
  };
}

/** The port that connections get in place of the one that the client has chosen along with the address. */
function portOverride({ registry, resolution }: Service, { number, targetPort }: ServicePort) {
  if (registry !== "External" || resolution !== "NONE" || typeof targetPort === "string" || targetPort === number) {
    return {};
  }
  return { lbConfig: { case: "originalDstLbConfig" as const, value: { upstreamPortOverride: targetPort } } };
}

/**
 * The cluster of a service's port or of a subset of it.
 * @param assignment endpoints of a service that is resolved by DNS; others come by EDS.
 */
export function outboundCluster(input: OutboundCluster, assignment?: ClusterLoadAssignment): Cluster {
  const { name, service, port, subset, rule, mesh, proxy, peers, passed } = input;
  const policy = settledPolicy(mesh, rule?.spec, subset, port.number);
  const dynamic = isDynamic(service);
  const type = discoveryType(service, policy, proxy);
  const balancing = dynamic
    ? { lbPolicy: LbPolicy.CLUSTER_PROVIDED }
    : type === DiscoveryType.ORIGINAL_DST
      ? { lbPolicy: LbPolicy.CLUSTER_PROVIDED, ...portOverride(service, port) }
      : loadBalancing(isPassthrough(policy.loadBalancer) ? {} : policy.loadBalancer);
  const pool = policy.connectionPool;
  const tls = passed ? undefined : policy.tls;
  const { subjectAltNames } = service;
  const readsSecrets = proxy === "router" || rule?.spec.workloadSelector !== undefined;
  const upstream = {
    protocol: port.protocol,
    pool,
    h2Upgrade: mesh.h2UpgradePolicy,
    sniffing: proxy === "sidecar",
    http1: headerCase(mesh.defaultConfig),
    names: dynamic ? dynamicNames(tls) : namesFromHosts({ tls, readsSecrets, subjectAltNames }),
    failures: failingResponses(policy.outlierDetection),
  };
  const offered = offeredProtocols(upstream);
  const mutual =
    peers &&
    meshTransport({
      tls,
      service,
      peers,
      mesh,
      chosen: type === DiscoveryType.ORIGINAL_DST,
      passthrough: isPassthrough(policy.loadBalancer),
      serverName: meshServerName(port.number, subset, service.host),
      applicationProtocols: offered.all,
    });
  return create(ClusterSchema, {
    name,
    altStatName: `${statName(mesh.outboundClusterStatName, service, { ...port, subset }, name)};`,
    ...(dynamic ? dynamicDiscovery(checksNames(dynamicNames(tls))) : discovery(type, name, mesh, assignment)),
    ...connectionMembers(pool, mesh, policy.retryBudget),
    ...balancing,
    commonLbConfig: {
      healthyPanicThreshold: { value: panicThreshold(policy.outlierDetection) },
      ...(!dynamic && localityConfig(localityPolicy(policy, service, mesh))),
    },
    ...(policy.outlierDetection && { outlierDetection: outlierDetection(policy.outlierDetection) }),
    typedExtensionProtocolOptions: httpOptions(upstream),
    metadata: metadata(input, mutual && offered.perRequest),
    ...transport({
      tls,
      readsSecrets,
      identified: peers !== undefined,
      subjectAltNames,
      http2: speaksHttp2(upstream),
      proxyProtocol: passed ? undefined : policy.proxyProtocol,
      tlsDefaults: mesh.tlsDefaults,
      meshTransport: mutual,
    }),
  });
}
