import {
  boolean,
  choice,
  definition,
  described,
  duration,
  int32,
  list,
  object,
  positiveDuration,
  string,
  type Value,
} from "../schema.ts";
import { LabelSelector } from "../kubernetes/meta.ts";
import { ConnectionPoolSettings, istioName, TcpKeepalive } from "./common.ts";
import { ExtensionProvider } from "./extension-provider.ts";
import { HTTPRetry } from "./http-route.ts";
import { MeshProxyConfig } from "./mesh-proxy-config.ts";
import { ProtocolFlags } from "./protocol-flags.ts";
import {
  ClientTLSSettings,
  LocalityLoadBalancerSetting,
  OutlierDetection,
  ZoneAwareLoadBalancerSetting,
} from "./traffic-policy.ts";

const exportTo = (what: string) =>
  list(
    `Namespaces that see ${what} whose exportTo is not set. All unless set.`,
    string("A namespace, . for the object's own, or * for all."),
  );

const TLSConfig = definition(
  istioName("TLSConfig", "mesh"),
  object(
    "What TLS must be.",
    {},
    {
      minProtocolVersion: choice("The oldest version that servers take. TLS 1.2 unless set.", [
        "TLS_AUTO",
        "TLSV1_2",
        "TLSV1_3",
      ]),
      ecdhCurves: list("Curves of the key exchange. Envoy's unless set.", string("A curve, such as P-256.")),
      cipherSuites: list("Ciphers of TLS 1.2. Envoy's unless set.", string("A suite, in its OpenSSL name.")),
    },
  ),
);
export type TLSConfig = Value<typeof TLSConfig>;

const ServiceSettings = object(
  "Settings of some services.",
  {},
  {
    settings: object(
      "What they are set to.",
      {},
      { clusterLocal: boolean("Whether callers reach only endpoints of their own cluster.") },
    ),
    hosts: list(
      "Full host names of the services; *.shop.svc.cluster.local means all of a namespace.",
      string("A host name."),
    ),
  },
);

const visibility = (text: string) => choice(text, ["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"]);

const ServiceEntryVisibility = object(
  "How far ServiceEntries are seen, whatever their exportTo says; it only ever takes away.",
  {},
  {
    defaultVisibility: visibility("How far those are that no policy is for. PUBLIC unless set."),
    applyToSidecars: boolean("Whether sidecars and gateways heed this. Only ambient mode does unless set."),
    policies: list(
      "The first whose rules all hold decides.",
      object(
        "How far some ServiceEntries are seen.",
        {},
        {
          visibility: visibility(
            "NONE by nobody, NAMESPACE by their own namespace, PUBLIC, the default, as exportTo says.",
          ),
          matchingRules: list(
            "All must hold; no rules hold for all.",
            object(
              "What is asked of a ServiceEntry.",
              {},
              {
                namespaceSelector: described(
                  "Labels of its namespace, as the mesh has it, else the first cluster that does.",
                  LabelSelector,
                ),
              },
            ),
          ),
        },
      ),
    ),
  },
);
/** How far something is seen. */
export type Visibility = NonNullable<Value<typeof ServiceEntryVisibility>["defaultVisibility"]>;

/** Members of Istio's MeshConfig that Weft carries out, and flags of Istio's control plane; each may be absent. */
export const meshConfigFields = {
  rootNamespace: string("The namespace whose objects hold for the whole mesh. istio-system unless set."),
  outboundTrafficPolicy: object(
    "What becomes of traffic to hosts that the registry does not know.",
    {},
    {
      mode: choice(
        "ALLOW_ANY, the default, passes it on; REGISTRY_ONLY drops it; ALLOW_ANY_DYNAMIC_DNS looks up hosts of plain HTTP requests and passes all else on.",
        ["ALLOW_ANY", "REGISTRY_ONLY", "ALLOW_ANY_DYNAMIC_DNS"],
      ),
      tls: described("How requests whose host was looked up use TLS, for ALLOW_ANY_DYNAMIC_DNS.", ClientTLSSettings),
    },
  ),
  inboundTrafficPolicy: object(
    "Where calls of a workload's ports go to.",
    {},
    {
      mode: choice("PASSTHROUGH, the default, to the address that was called; LOCALHOST to the workload's loopback.", [
        "PASSTHROUGH",
        "LOCALHOST",
      ]),
    },
  ),
  pathNormalization: object(
    "How proxies rewrite paths of requests before anything looks at them.",
    {},
    {
      normalization: choice(
        "BASE, the default, as RFC 3986 says; MERGE_SLASHES makes several slashes one as well; DECODE_AND_MERGE_SLASHES decodes %2F and %5C first; NONE leaves paths as they are.",
        ["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"],
      ),
    },
  ),
  trustDomainAliases: list("Other trust domains, whose identities count as the mesh's own.", string("A trust domain.")),
  extensionProviders: list("What proxies may be told to ask, by its name.", ExtensionProvider),
  inboundClusterStatName: string(
    "How statistics of a workload's ports are called: a text with %SERVICE%, %SERVICE_NAME%, %SERVICE_FQDN%, %SERVICE_PORT%, %SERVICE_PORT_NAME% and %TARGET_PORT%. The cluster's name unless set.",
  ),
  outboundClusterStatName: string(
    "How statistics of services are called, as inboundClusterStatName, with %SUBSET_NAME% in place of %TARGET_PORT%. The cluster's name unless set.",
  ),
  disableEnvoyListenerLog: boolean("Whether connections that no listener takes are left out of the log."),
  accessLogFile: string("The file that proxies log requests to, such as /dev/stdout. No log unless set."),
  accessLogFormat: string("What a line of the log tells, in Envoy's format. Istio's format unless set."),
  accessLogEncoding: choice("How a line of the log is written. TEXT unless set.", ["TEXT", "JSON"]),
  connectTimeout: positiveDuration("How long connecting to a service may take. 10s unless set."),
  protocolDetectionTimeout: duration("How long a proxy waits to see the protocol. 0s, for ever, unless set."),
  dnsRefreshRate: positiveDuration("How often proxies look up names of services again. 60s unless set."),
  h2UpgradePolicy: choice("Whether HTTP/1.1 requests are sent as HTTP/2. DO_NOT_UPGRADE unless set.", [
    "DO_NOT_UPGRADE",
    "UPGRADE",
  ]),
  tcpKeepalive: described("TCP keep-alive of connections to services.", TcpKeepalive),
  localityLbSetting: described("How localities share requests.", LocalityLoadBalancerSetting),
  zoneAwareLbSetting: described(
    "Keep requests in the caller's zone as far as its endpoints suffice; goes before localityLbSetting.",
    ZoneAwareLoadBalancerSetting,
  ),
  defaultHttpRetryPolicy: described("How routes that say nothing of retries retry.", HTTPRetry),
  defaultServiceExportTo: exportTo("services"),
  defaultVirtualServiceExportTo: exportTo("VirtualServices"),
  defaultDestinationRuleExportTo: exportTo("DestinationRules"),
  tlsDefaults: described("TLS that is not the mesh's own mutual TLS.", TLSConfig),
  meshMTLS: described("The mesh's own mutual TLS, on the side of servers.", TLSConfig),
  enablePrometheusMerge: boolean(
    "Whether injected proxies pass their applications' metrics on beside their own. They do unless set.",
  ),
  enableAutoMtls: boolean(
    "Whether workloads that have certificates of the mesh are called with mutual TLS where no DestinationRule says how. True unless set.",
  ),
  defaultTrafficPolicy: object(
    "Settings of services for which no DestinationRule says the same part.",
    {},
    { connectionPool: ConnectionPoolSettings, outlierDetection: OutlierDetection },
  ),
  discoverySelectors: list(
    "Namespaces that the mesh knows: those that fit one of these. All unless set.",
    LabelSelector,
  ),
  serviceSettings: list("Settings of some services.", ServiceSettings),
  serviceEntryVisibility: ServiceEntryVisibility,
  defaultConfig: described("How proxies are unless a ProxyConfig or their Pods say otherwise.", MeshProxyConfig),
  proxyHttpPort: int32(
    "The loopback port on which sidecars are an HTTP proxy to the mesh's services. None unless set, or for 0.",
    { minimum: 0, maximum: 65535 },
  ),
  protocols: ProtocolFlags,
} as const;

const MeshConfig = object("Istio's mesh.v1alpha1.MeshConfig, and flags of its control plane.", {}, meshConfigFields);
/** Istio's `mesh.v1alpha1.MeshConfig`, as far as Weft carries it out. Durations are texts such as `10s`. */
export type MeshConfig = Value<typeof MeshConfig>;

/** How the MeshConfig in Istio's ConfigMap was taken. */
export interface MeshConfigState {
  /** Why it is passed over, if it is. */
  readonly problem?: string;
  /** Members of it that have no effect, each with the reason. */
  readonly missing: readonly string[];
}
