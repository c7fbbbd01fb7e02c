import { table } from "../table.ts";
import type {
  ClusterConfig,
  ClusterStatuses,
  FilterChainMatch,
  ListenerConfig,
  Metadata,
  NetworkFilter,
  RouteConfig,
  RouteEntry,
} from "./dump.ts";

const configPath = /\/namespaces\/([^/]+)\/([^/]+)\/([^/]+)$/;

/** The object that made a resource, as `name.namespace`. */
function originOf(metadata: Metadata | undefined): string {
  const [, namespace, , name] = configPath.exec(metadata?.filter_metadata?.istio?.config ?? "") ?? [];
  return name === undefined ? "" : `${name}.${namespace}`;
}

/** Clusters: what they stand for, by Istio's names (`outbound|9080|v1|reviews.shop.svc.cluster.local`). */
export function clusterTable(clusters: readonly ClusterConfig[]): string {
  const rows = clusters.map((cluster) => {
    const parts = cluster.name.split("|");
    const [direction = "-", port = "-", subset = "-", host = cluster.name] = parts.length === 4 ? parts : [];
    const type = cluster.cluster_type?.name ?? cluster.type ?? "STATIC";
    return [
      host === "" ? cluster.name : host,
      port,
      subset === "" ? "-" : subset,
      direction,
      type,
      originOf(cluster.metadata),
    ];
  });
  return table(["SERVICE", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"], rows);
}

function matchText(match: FilterChainMatch | undefined): string {
  if (!match) return "ALL";
  const parts = [
    match.transport_protocol === undefined || match.transport_protocol === ""
      ? ""
      : `Trans: ${match.transport_protocol}`,
    match.application_protocols === undefined ? "" : `App: ${match.application_protocols.join(",")}`,
    match.server_names === undefined ? "" : `SNI: ${match.server_names.join(",")}`,
    match.prefix_ranges === undefined
      ? ""
      : `Addr: ${match.prefix_ranges.map((range) => `${range.address_prefix}/${range.prefix_len ?? 0}`).join(",")}`,
    match.destination_port === undefined ? "" : `Port: ${match.destination_port}`,
  ].filter((part) => part !== "");
  return parts.length === 0 ? "ALL" : parts.join("; ");
}

function destinationText(filters: readonly NetworkFilter[]): string {
  for (const { typed_config: config } of filters.toReversed()) {
    if (config?.rds) return `Route: ${config.rds.route_config_name}`;
    if (config?.route_config) return `Inline route: ${config.route_config.name ?? ""}`;
    if (config?.weighted_clusters)
      return `Clusters: ${config.weighted_clusters.clusters.map((one) => one.name).join(", ")}`;
    if (config?.cluster !== undefined) return `Cluster: ${config.cluster}`;
  }
  return filters.at(-1)?.name ?? "nothing";
}

/** Listeners: a row for each filter chain, what it takes and where that goes. */
export function listenerTable(listeners: readonly ListenerConfig[]): string {
  const rows = listeners.flatMap((listener) => {
    const socket = listener.address?.socket_address;
    const chains = [
      ...(listener.filter_chains ?? []),
      ...(listener.default_filter_chain ? [listener.default_filter_chain] : []),
    ];
    return chains.map((chain) => [
      listener.name,
      socket?.address ?? "-",
      String(socket?.port_value ?? "-"),
      matchText(chain.filter_chain_match),
      destinationText(chain.filters ?? []),
    ]);
  });
  return table(["LISTENER", "ADDRESS", "PORT", "MATCH", "DESTINATION"], rows);
}

const pathMatches: readonly (readonly [key: string, text: (value: unknown) => string])[] = [
  ["path", (value) => String(value)],
  ["prefix", (value) => `${String(value)}*`],
  ["path_separated_prefix", (value) => `${String(value)}/*`],
  ["safe_regex", (value) => `~${(value as { readonly regex?: string }).regex ?? ""}`],
];

function routeMatch({ match }: RouteEntry): string {
  const path = pathMatches.find(([key]) => match[key] !== undefined);
  const text = path ? path[1](match[path[0]]) : "/*";
  const more = ["headers", "query_parameters"].filter((key) => match[key] !== undefined);
  return more.length === 0 ? text : `${text} + ${more.join(", ")}`;
}

function routeDestination({ route, redirect, direct_response: answer }: RouteEntry): string {
  if (redirect !== undefined) return "redirect";
  if (answer !== undefined) return `status ${answer.status}`;
  if (route?.weighted_clusters === undefined) return route?.cluster ?? route?.cluster_header ?? "-";
  return route.weighted_clusters.clusters.map(({ name, weight = 0 }) => `${weight} ${name}`).join(", ");
}

/** A virtual host's name, without that of its routes, which stands before it where hosts come by themselves (VHDS). */
function hostName(routes: string, name: string): string {
  return name.startsWith(`${routes}/`) ? name.slice(routes.length + 1) : name;
}

/** Routes: a row for each route, in the order in which they are tried. */
export function routeTable(configs: readonly RouteConfig[]): string {
  const rows = configs.flatMap((config) =>
    (config.virtual_hosts ?? []).flatMap((host) => {
      const [first = "", ...others] = host.domains;
      const domains = others.length === 0 ? first : `${first} + ${others.length} more`;
      return (host.routes ?? []).map((route) => [
        config.name ?? "",
        hostName(config.name ?? "", host.name),
        domains,
        routeMatch(route),
        originOf(route.metadata) || "-",
        routeDestination(route),
      ]);
    }),
  );
  return table(["ROUTE", "VIRTUAL HOST", "DOMAINS", "MATCH", "VIRTUAL SERVICE", "DESTINATION"], rows);
}

/** Endpoints: a row for each address of each cluster, with what Envoy thinks of its health. */
export function endpointTable({ cluster_statuses: statuses = [] }: ClusterStatuses): string {
  const rows = statuses.flatMap((cluster) =>
    (cluster.host_statuses ?? []).map(({ address, health_status: health, locality }) => {
      const socket = address.socket_address;
      return [
        socket ? `${socket.address}:${socket.port_value ?? 0}` : (address.pipe?.path ?? "-"),
        health.eds_health_status ?? "UNKNOWN",
        health.failed_outlier_check === true ? "EJECTED" : "OK",
        locality?.zone ?? locality?.region ?? "-",
        cluster.name,
      ];
    }),
  );
  return table(
    ["ENDPOINT", "STATUS", "OUTLIER", "ZONE", "CLUSTER"],
    rows.toSorted((a, b) => (a[4] ?? "").localeCompare(b[4] ?? "") || (a[0] ?? "").localeCompare(b[0] ?? "")),
  );
}
