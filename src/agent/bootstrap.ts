import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import { proxyDnsPort } from "./dns/service.ts";
import { servesSecrets, type ProxyNode } from "./node-metadata.ts";

/** What a bootstrap is made from. */
export interface BootstrapOptions {
  readonly node: ProxyNode;
  /** Path of the agent's xDS socket, as the proxy sees it. */
  readonly xdsSocket: string;
  /** How the proxy is started. */
  readonly config?: MeshProxyConfig;
  /** Name servers that it asks; the agent's, on the Pod's loopback, unless told. */
  readonly nameServers?: readonly string[];
  /** Whether an agent that lives as long as the proxy answers the agent's port. */
  readonly agentAnswers?: boolean;
}

/** `envoy.config.bootstrap.v3.Bootstrap` in its JSON form, as far as others than Envoy look into it. */
export interface Bootstrap extends Readonly<Record<string, unknown>> {
  readonly node: ProxyNode;
}

/** Ports of a proxy, as Istio has them. */
export const proxyPorts = { admin: 15000, agent: 15020, status: 15021, prometheus: 15090 } as const;

/** Counts of handshakes at the ports of a Pod, which the agent looks at when the Pod leaves the mesh. */
export const handshakesStat = "15006.ssl.handshake";

const router = {
  name: "envoy.filters.http.router",
  typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
};

const http2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    // A stream that ended is followed by one on a new connection, as Istio has it.
    common_http_protocol_options: { max_requests_per_connection: 1 },
    explicit_http_config: { http2_protocol_options: {} },
  },
};

function staticCluster(name: string, timeout: string, address: object): object {
  return {
    name,
    type: "STATIC",
    connect_timeout: timeout,
    lb_policy: "ROUND_ROBIN",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

function socketAddress(address: string, port: number): object {
  return { socket_address: { protocol: "TCP", address, port_value: port } };
}

function loopback(port: number): object {
  return socketAddress("127.0.0.1", port);
}

interface StaticRoute {
  readonly path: string;
  /** The path asked of the admin interface. */
  readonly admin: string;
}

/** A listener on all addresses that answers a few paths from the admin interface and nothing else. */
function adminRelay(statPrefix: string, port: number, routes: readonly StaticRoute[]): object {
  return {
    name: statPrefix,
    address: { socket_address: { protocol: "TCP", address: "0.0.0.0", port_value: port } },
    // Not part of the mesh's traffic: a drain of the proxy leaves it alone.
    drain_type: "MODIFY_ONLY",
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              codec_type: "AUTO",
              stat_prefix: statPrefix,
              route_config: {
                virtual_hosts: [
                  {
                    name: "backend",
                    domains: ["*"],
                    routes: routes.map(({ path, admin }) => ({
                      // Exactly these: what begins so would be asked of the admin interface, which answers with a list of its commands.
                      match: { path },
                      route: { cluster: "prometheus_stats", prefix_rewrite: admin },
                    })),
                  },
                ],
              },
              http_filters: [router],
            },
          },
        ],
      },
    ],
  };
}

/** Tags that are cut out of statistic names, as Istio's bootstrap has them. */
const statsTags = [
  ["cluster_name", String.raw`^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)`],
  ["tcp_prefix", String.raw`^tcp\.((.*?)\.)\w+?$`],
  ["response_code", String.raw`_rq(_(\d{3}))$`],
  ["response_code_class", String.raw`_rq(_(\dxx))$`],
  [
    "http_conn_manager_listener_prefix",
    String.raw`^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)`,
  ],
  ["http_conn_manager_prefix", String.raw`^http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)`],
  ["listener_address", String.raw`^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)`],
  ["mongo_prefix", String.raw`^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$`],
  ["cache", String.raw`(cache\.(.+?)\.)`],
  ["component", String.raw`(component\.(.+?)\.)`],
  ["tag", String.raw`(tag\.(.+?);\.)`],
  ["wasm_filter", String.raw`(wasm_filter\.(.+?)\.)`],
  ["authz_enforce_result", String.raw`rbac(\.(allowed|denied))`],
  ["authz_dry_run_action", String.raw`(\.istio_dry_run_(allow|deny)_)`],
  ["authz_dry_run_result", String.raw`(\.shadow_(allowed|denied))`],
].map(([tag_name, regex]) => ({ tag_name, regex }));

/** Which statistics a proxy keeps: Istio's default selection. */
const statsPatterns = [
  ...[
    "reporter=",
    "cluster_manager",
    "listener_manager",
    "server",
    "cluster.xds-grpc",
    "wasm",
    "component",
    "istio",
  ].map((prefix) => ({ prefix })),
  ...["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"].map((suffix) => ({ suffix })),
  { suffix: handshakesStat },
  // Requests per proxy, which the console and the live status read.
  { safe_regex: { regex: String.raw`^http\.(inbound|outbound)_.*downstream_rq_(total|\dxx)$` } },
  // How long they took, which ended without an answer, and what routes were refused, by which upgrades of sidecars are judged.
  {
    safe_regex: {
      regex: String.raw`^http\.inbound_.*downstream_rq_(time|rx_reset)$|^http\..*\.rds\..*update_rejected$`,
    },
  },
];

const runtime = {
  "overload.global_downstream_max_connections": "2147483647",
  "re2.max_program_size.error_level": "32768",
  "envoy.deprecated_features:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": true,
  "envoy.reloadable_features.http_reject_path_with_fragment": false,
};

/** The runtime with values of the proxy's settings; an empty one takes a value away. Truth is no text, as Envoy wants it. */
function runtimeOf({ runtimeValues = {} }: MeshProxyConfig): object {
  const truths: Readonly<Record<string, unknown>> = { true: true, false: false };
  const set = Object.entries(runtimeValues).map(([name, value]) => [name, truths[value] ?? value] as const);
  const entries = Object.entries({ ...runtime, ...Object.fromEntries(set) });
  return Object.fromEntries(entries.filter(([, value]) => value !== ""));
}

/** Statistics that the proxy's settings ask for; `{pod_ip}` stands for its address. */
function ownPatterns({ proxyStatsMatcher = {} }: MeshProxyConfig, { metadata }: ProxyNode): readonly object[] {
  const { inclusionPrefixes = [], inclusionSuffixes = [], inclusionRegexps = [] } = proxyStatsMatcher;
  const address = String(metadata["INSTANCE_IPS"]);
  const named = (text: string): string => text.replaceAll("{pod_ip}", address);
  return [
    ...inclusionPrefixes.map((text) => ({ prefix: named(text) })),
    ...inclusionSuffixes.map((text) => ({ suffix: named(text) })),
    ...inclusionRegexps.map((text) => ({ safe_regex: { regex: named(text) } })),
  ];
}

const ads = { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" };

const adsConfig = {
  api_type: "DELTA_GRPC",
  set_node_on_first_message_only: true,
  transport_api_version: "V3",
  grpc_services: [
    {
      envoy_grpc: {
        cluster_name: "xds-grpc",
        // The agent is on this machine: after it has been away, it is found again at once.
        retry_policy: { retry_back_off: { base_interval: "0.1s", max_interval: "1s" } },
      },
    },
  ],
};

/** The cluster by which generated configuration asks for the proxy's certificate, as in Istio; the agent serves both on one socket. */
function sdsCluster(socket: string): object {
  return { ...staticCluster("sds-grpc", "1s", { pipe: { path: socket } }), typed_extension_protocol_options: http2 };
}

function xdsCluster(socket: string): object {
  const threshold = { max_connections: 100_000, max_pending_requests: 100_000, max_requests: 100_000 };
  return {
    ...staticCluster("xds-grpc", "1s", { pipe: { path: socket } }),
    circuit_breakers: {
      thresholds: [
        { priority: "DEFAULT", ...threshold },
        { priority: "HIGH", ...threshold },
      ],
    },
    typed_extension_protocol_options: http2,
  };
}

/**
 * Where names of hosts are asked for: of the host's name servers by way of the node's, where Pods reach nothing outside. Never of
 * the mesh's own names, whose addresses may lead to the proxy itself.
 */
function dnsResolver(nameServers: readonly string[] | undefined): object {
  return {
    name: "envoy.network.dns_resolver.cares",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
      resolvers: nameServers?.map((address) => socketAddress(address, 53)) ?? [loopback(proxyDnsPort)],
    },
  };
}

/** The cluster of the proxy's own kind, against whose zones Envoy compares those of destinations. */
const ownKind = {
  name: "local_cluster",
  alt_stat_name: "local_cluster;",
  type: "EDS",
  connect_timeout: "1s",
  load_balancing_policy: {
    policies: [
      {
        typed_extension_config: {
          name: "envoy.load_balancing_policies.least_request",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
            locality_lb_config: { zone_aware_lb_config: { min_cluster_size: 1 } },
          },
        },
      },
    ],
  },
  eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" }, service_name: "local_cluster" },
};

/**
 * A proxy's bootstrap, in the shape of Istio's. Readiness (15021) and metrics (15020, 15090) are answered by the proxy itself
 * from its admin interface, so that they hold while no agent runs.
 */
export function bootstrap(options: BootstrapOptions): Bootstrap {
  const { node, xdsSocket, config = {}, nameServers, agentAnswers = false } = options;
  const findsOwnKind = node.metadata["ENABLE_SELF_DISCOVERY"] === "true";
  const ready = { path: "/healthz/ready", admin: "/ready" };
  const metrics = { path: "/stats/prometheus", admin: "/stats/prometheus" };
  return {
    node,
    layered_runtime: {
      layers: [
        { name: "global config", static_layer: runtimeOf(config) },
        { name: "admin", admin_layer: {} },
      ],
    },
    bootstrap_extensions: [
      {
        name: "envoy.bootstrap.internal_listener",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
          buffer_size_kb: 64,
        },
      },
    ],
    stats_config: {
      use_all_default_tags: false,
      stats_tags: statsTags,
      stats_matcher: { inclusion_list: { patterns: [...ownPatterns(config, node), ...statsPatterns] } },
    },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: proxyPorts.admin } } },
    dynamic_resources: { lds_config: ads, cds_config: ads, ads_config: adsConfig },
    typed_dns_resolver_config: dnsResolver(nameServers),
    ...(findsOwnKind && { cluster_manager: { local_cluster_name: ownKind.name } }),
    static_resources: {
      clusters: [
        staticCluster("prometheus_stats", "0.250s", loopback(proxyPorts.admin)),
        xdsCluster(xdsSocket),
        ...(node.metadata[servesSecrets] === "true" ? [sdsCluster(xdsSocket)] : []),
        ...(findsOwnKind ? [ownKind] : []),
      ],
      listeners: [
        adminRelay("stats", proxyPorts.prometheus, [metrics]),
        adminRelay("agent", proxyPorts.status, [ready]),
        ...(agentAnswers ? [] : [adminRelay("merged", proxyPorts.agent, [metrics, ready])]),
      ],
    },
  };
}
