import type { ConnectionPoolSettings } from "#api/istio/common.ts";
import type { HTTPRetry } from "#api/istio/http-route.ts";
import type { LocalityLoadBalancerSetting } from "#api/istio/traffic-policy.ts";

/** When idle connections are probed. */
export type TcpKeepalive = NonNullable<NonNullable<ConnectionPoolSettings["tcp"]>["tcpKeepalive"]>;

/** The members of Istio's MeshConfig that translation follows. Durations are texts such as `10s`. */
export interface MeshConfig {
  readonly rootNamespace?: string;
  readonly outboundTrafficPolicy?: { readonly mode?: string };
  readonly inboundTrafficPolicy?: { readonly mode?: string };
  readonly pathNormalization?: { readonly normalization?: string };
  /** Patterns with variables such as `%SERVICE%`; empty for the clusters' names. */
  readonly inboundClusterStatName?: string;
  readonly outboundClusterStatName?: string;
  readonly disableEnvoyListenerLog?: boolean;
  readonly accessLogFile?: string;
  readonly accessLogFormat?: string;
  readonly accessLogEncoding?: string;
  readonly connectTimeout?: string;
  readonly protocolDetectionTimeout?: string;
  readonly dnsRefreshRate?: string;
  readonly h2UpgradePolicy?: string;
  readonly tcpKeepalive?: TcpKeepalive;
  readonly localityLbSetting?: LocalityLoadBalancerSetting;
  /** Retries of routes that say nothing of them. */
  readonly defaultHttpRetryPolicy?: HTTPRetry;
  readonly defaultServiceExportTo?: readonly string[];
  readonly defaultVirtualServiceExportTo?: readonly string[];
  readonly defaultDestinationRuleExportTo?: readonly string[];
}

/** The mesh's configuration with Istio's defaults filled in. */
export type MeshSettings = Required<
  Omit<
    MeshConfig,
    "tcpKeepalive" | "outboundTrafficPolicy" | "inboundTrafficPolicy" | "pathNormalization" | "defaultHttpRetryPolicy"
  >
> & {
  readonly tcpKeepalive?: TcpKeepalive;
  readonly defaultHttpRetryPolicy?: HTTPRetry;
  readonly outboundTrafficPolicy: { readonly mode: string };
  readonly inboundTrafficPolicy: { readonly mode: string };
  readonly pathNormalization: { readonly normalization: string };
};

const defaults: MeshSettings = {
  rootNamespace: "istio-system",
  outboundTrafficPolicy: { mode: "ALLOW_ANY" },
  inboundTrafficPolicy: { mode: "PASSTHROUGH" },
  pathNormalization: { normalization: "DEFAULT" },
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
};

/** A list of namespaces that is empty stands for the default. */
function orDefault(list: readonly string[] | undefined, otherwise: readonly string[]): readonly string[] {
  return list === undefined || list.length === 0 ? otherwise : list;
}

/** Fills in what a mesh's configuration leaves out. */
export function meshSettings(config: MeshConfig | undefined): MeshSettings {
  return {
    ...defaults,
    ...config,
    outboundTrafficPolicy: { ...defaults.outboundTrafficPolicy, ...config?.outboundTrafficPolicy },
    inboundTrafficPolicy: { ...defaults.inboundTrafficPolicy, ...config?.inboundTrafficPolicy },
    pathNormalization: { ...defaults.pathNormalization, ...config?.pathNormalization },
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
