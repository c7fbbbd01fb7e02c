import type { MeshConfig, TLSConfig } from "#api/istio/mesh-config.ts";
import type { MeshNetworks } from "#api/istio/mesh-networks.ts";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { ProtocolFlags } from "#api/istio/protocol-flags.ts";
import type { DiscoveryMode } from "#api/weft/discovery-mode.ts";
import type { HijackMode } from "#api/weft/hijack-mode.ts";
import type { Profile } from "#api/weft/profile.ts";
import type { ClientTLSSettings } from "#api/istio/traffic-policy.ts";
import type { UnusedFilter } from "./proxy-config.ts";

/** The trust domain of a mesh that names none. */
export const defaultTrustDomain = "cluster.local";

/** All that is said of a mesh as a whole: Istio's MeshConfig, its MeshNetworks, its trust domain, and what proxies hold. */
export type MeshInput = MeshConfig & {
  readonly meshNetworks?: MeshNetworks;
  readonly discovery?: DiscoveryMode;
  readonly forgetCallsAfter?: string;
  readonly hijack?: HijackMode;
  readonly profile?: Profile;
  readonly trustDomain?: string;
};

/** When idle connections are probed. */
export type TcpKeepalive = NonNullable<MeshConfig["tcpKeepalive"]>;

/** Members of the mesh's configuration that have no default. */
type Optional =
  | "zoneAwareLbSetting"
  | "tcpKeepalive"
  | "defaultHttpRetryPolicy"
  | "defaultTrafficPolicy"
  | "serviceEntryVisibility";

/** The mesh's configuration with Istio's defaults filled in. */
export type MeshSettings = Required<
  Omit<MeshConfig, Optional | "outboundTrafficPolicy" | "inboundTrafficPolicy" | "pathNormalization" | "protocols">
> &
  Pick<MeshConfig, Optional> & {
    readonly outboundTrafficPolicy: { readonly mode: string; readonly tls?: ClientTLSSettings };
    readonly inboundTrafficPolicy: { readonly mode: string };
    readonly pathNormalization: { readonly normalization: string };
    readonly protocols: Required<ProtocolFlags>;
    readonly tlsDefaults: TLSConfig;
    readonly meshMTLS: TLSConfig;
    readonly defaultConfig: MeshProxyConfig;
    readonly meshNetworks: MeshNetworks;
    readonly discovery: DiscoveryMode;
    readonly forgetCallsAfter: string;
    readonly hijack?: HijackMode;
    readonly profile?: Profile;
    /** Filters that proxies with these settings go without. */
    readonly unused?: readonly UnusedFilter[];
    readonly trustDomain: string;
  };

const defaults: MeshSettings = {
  rootNamespace: "istio-system",
  outboundTrafficPolicy: { mode: "ALLOW_ANY" },
  inboundTrafficPolicy: { mode: "PASSTHROUGH" },
  pathNormalization: { normalization: "DEFAULT" },
  proxyHttpPort: 0,
  protocols: { http10: false, http3: false, mongo: true, redis: false },
  trustDomain: defaultTrustDomain,
  trustDomainAliases: [],
  extensionProviders: [],
  inboundClusterStatName: "",
  outboundClusterStatName: "",
  disableEnvoyListenerLog: false,
  accessLogFile: "",
  accessLogFormat: "",
  accessLogEncoding: "TEXT",
  connectTimeout: "10s",
  protocolDetectionTimeout: "0s",
  dnsRefreshRate: "60s",
  h2UpgradePolicy: "DO_NOT_UPGRADE",
  localityLbSetting: { enabled: true },
  defaultServiceExportTo: ["*"],
  defaultVirtualServiceExportTo: ["*"],
  defaultDestinationRuleExportTo: ["*"],
  tlsDefaults: {},
  meshMTLS: {},
  enableAutoMtls: true,
  enablePrometheusMerge: true,
  discoverySelectors: [],
  serviceSettings: [],
  meshNetworks: {},
  discovery: "All",
  forgetCallsAfter: "720h",
  defaultConfig: {},
};

/** A list of namespaces that is empty stands for the default. */
function orDefault(list: readonly string[] | undefined, otherwise: readonly string[]): readonly string[] {
  return list === undefined || list.length === 0 ? otherwise : list;
}

/** Fills in what a mesh's configuration leaves out. */
export function meshSettings(config: MeshInput | undefined): MeshSettings {
  return {
    ...defaults,
    ...config,
    outboundTrafficPolicy: { ...defaults.outboundTrafficPolicy, ...config?.outboundTrafficPolicy },
    inboundTrafficPolicy: { ...defaults.inboundTrafficPolicy, ...config?.inboundTrafficPolicy },
    pathNormalization: { ...defaults.pathNormalization, ...config?.pathNormalization },
    protocols: { ...defaults.protocols, ...config?.protocols },
    defaultServiceExportTo: orDefault(config?.defaultServiceExportTo, defaults.defaultServiceExportTo),
    defaultVirtualServiceExportTo: orDefault(
      config?.defaultVirtualServiceExportTo,
      defaults.defaultVirtualServiceExportTo,
    ),
    defaultDestinationRuleExportTo: orDefault(
      config?.defaultDestinationRuleExportTo,
      defaults.defaultDestinationRuleExportTo,
    ),
  };
}
