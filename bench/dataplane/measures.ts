/** Changes of a sidecar's configuration, each measured alone. */
import type { Side } from "./mesh.ts";

interface HttpFilter {
  readonly name: string;
}

interface Manager {
  "@type": string;
  http_filters: readonly HttpFilter[];
  tracing?: unknown;
  access_log?: unknown;
}

interface Listener {
  readonly name: string;
  listener_filters?: readonly { readonly name: string }[];
  per_connection_buffer_limit_bytes?: number;
  readonly filter_chains: readonly { readonly filters: readonly { readonly typed_config: Manager }[] }[];
}

interface Cluster {
  readonly name: string;
  type: string;
  lb_policy: string;
  cleanup_interval?: string;
  load_assignment?: unknown;
  per_connection_buffer_limit_bytes?: number;
}

/** A sidecar's bootstrap, as far as it is changed. */
export interface Bootstrap {
  readonly static_resources: { readonly listeners: readonly Listener[]; readonly clusters: readonly Cluster[] };
  readonly stats_config: { stats_matcher: unknown };
  stats_flush_on_admin?: boolean;
}

/** A change of a proxy's bootstrap, in place. */
export type Measure = (bootstrap: Bootstrap, side: Side) => void;

/** Those that take the mesh's traffic, not those of the proxy's own ports. */
function listeners({ static_resources: own }: Bootstrap): readonly Listener[] {
  return own.listeners.filter(({ name }) => name !== "stats" && name !== "agent");
}

function eachManager(bootstrap: Bootstrap, change: (manager: Manager, inbound: boolean) => void): void {
  for (const { name, filter_chains: chains } of listeners(bootstrap))
    for (const { typed_config: config } of chains.flatMap(({ filters }) => filters))
      if (config["@type"].endsWith(".HttpConnectionManager")) change(config, name === "virtualInbound");
}

const without =
  (...names: readonly string[]): Measure =>
  (bootstrap) =>
    eachManager(bootstrap, (manager) => {
      const dropped = new Set(names.map((name) => `envoy.filters.http.${name}`));
      manager.http_filters = manager.http_filters.filter(({ name }) => !dropped.has(name));
    });

/** Istio's line, as it is where an access log is asked for. */
const logFormat =
  `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
  `%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ` +
  `%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
  `"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ` +
  `%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n`;

const accessLog = {
  name: "envoy.access_loggers.file",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
    path: "/dev/stdout",
    log_format: { text_format_source: { inline_string: logFormat } },
  },
};

/** Turns on what Istio's default leaves off, or off what users may want: no part of what makes Weft lean. */
export const features: Readonly<Record<string, Measure>> = {
  "access log on": (bootstrap) =>
    eachManager(bootstrap, (manager) => {
      manager.access_log = [accessLog];
    }),
  "tracing off": (bootstrap) =>
    eachManager(bootstrap, (manager) => {
      delete manager.tracing;
    }),
  "statistics off": ({ stats_config: config }) => {
    config.stats_matcher = { reject_all: true };
  },
};

/** Leaves out what has nothing to do for the requests of the benchmark. */
export const measures: Readonly<Record<string, Measure>> = {
  "no counts of gRPC": without("grpc_stats"),
  "no faults, no CORS": without("fault", "cors"),
  "no faults, no CORS inbound": (bootstrap) =>
    eachManager(bootstrap, (manager, inbound) => {
      const dropped = new Set(["envoy.filters.http.fault", "envoy.filters.http.cors"]);
      if (inbound) manager.http_filters = manager.http_filters.filter(({ name }) => !dropped.has(name));
    }),
  "no protocols of each request": without("set_filter_state"),
  "no filter but the router": without("grpc_stats", "fault", "cors", "set_filter_state"),
  "statistics put together when asked": (bootstrap) => {
    bootstrap.stats_flush_on_admin = true;
  },
  "inbound cluster of a known address": ({ static_resources: { clusters } }) => {
    for (const cluster of clusters.filter(({ name }) => name === "inbound|8080||")) {
      const address = { socket_address: { address: "10.10.0.3", port_value: 8080 } };
      cluster.type = "STATIC";
      cluster.lb_policy = "ROUND_ROBIN";
      delete cluster.cleanup_interval;
      cluster.load_assignment = {
        cluster_name: cluster.name,
        endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
      };
    }
  },
  "buffers of 32 KiB": (bootstrap) => {
    for (const each of [...listeners(bootstrap), ...bootstrap.static_resources.clusters])
      each.per_connection_buffer_limit_bytes = 32_768;
  },
};
