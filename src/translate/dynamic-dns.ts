/** Hosts that proxies look up as they are called: those that a wildcard of a ServiceEntry stands for. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { isWildcard } from "#api/istio/hosts.ts";
import type { Service } from "#model/service.ts";
import {
  Cluster_DnsLookupFamily as DnsLookupFamily,
  type ClusterSchema,
} from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { ClusterConfigSchema } from "#proto/gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js";
import type { DnsCacheConfigSchema } from "#proto/gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.js";

/**
 * What is remembered of lookups. The filters that look up and the clusters that call share it by its name; there is one, so
 * that one filter serves all hosts of a listener, of which Istio's serves the first.
 */
export const dnsCache: MessageInitShape<typeof DnsCacheConfigSchema> = {
  name: "dynamic_dns",
  dnsLookupFamily: DnsLookupFamily.V4_ONLY,
};

/** Whether a service's hosts are looked up as they are called. */
export function isDynamic({ resolution, host }: Pick<Service, "resolution" | "host">): boolean {
  return resolution === "DYNAMIC_DNS" && isWildcard(host);
}

/**
 * The kind of cluster that calls what was looked up.
 * @param checked whether servers must show the name that was called; Envoy wants it said where they need not.
 */
export function dynamicDiscovery(
  checked: boolean,
): Pick<MessageInitShape<typeof ClusterSchema>, "clusterDiscoveryType"> {
  const config = create(ClusterConfigSchema, {
    clusterImplementationSpecifier: { case: "dnsCacheConfig", value: dnsCache },
    ...(!checked && { allowInsecureClusterOptions: true }),
  });
  return {
    clusterDiscoveryType: {
      case: "clusterType",
      value: {
        name: "envoy.clusters.dynamic_forward_proxy",
        typedConfig: anyPack(ClusterConfigSchema, config),
      },
    },
  };
}
