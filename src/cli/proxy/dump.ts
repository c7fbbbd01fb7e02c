/** The parts of Envoy's admin answers (`/config_dump`, `/clusters?format=json`) that are shown. Names are Envoy's own. */

import type { SecretSection } from "./secrets.ts";

/** A match of a filter chain. */
export interface FilterChainMatch {
  readonly destination_port?: number;
  readonly transport_protocol?: string;
  readonly application_protocols?: readonly string[];
  readonly server_names?: readonly string[];
  readonly prefix_ranges?: readonly { readonly address_prefix: string; readonly prefix_len?: number }[];
}

/** A network filter with its configuration. */
export interface NetworkFilter {
  readonly name: string;
  readonly typed_config?: {
    readonly "@type": string;
    readonly cluster?: string;
    readonly weighted_clusters?: { readonly clusters: readonly { readonly name: string }[] };
    readonly rds?: { readonly route_config_name: string };
    readonly route_config?: RouteConfig;
  };
}

/** Connections of one kind, and what is done with them. */
export interface FilterChain {
  readonly name?: string;
  readonly filter_chain_match?: FilterChainMatch;
  readonly filters?: readonly NetworkFilter[];
}

/** A listener. */
export interface ListenerConfig {
  readonly name: string;
  readonly address?: { readonly socket_address?: { readonly address: string; readonly port_value?: number } };
  readonly filter_chains?: readonly FilterChain[];
  readonly default_filter_chain?: FilterChain;
}

/** A cluster. */
export interface ClusterConfig {
  readonly name: string;
  readonly type?: string;
  readonly cluster_type?: { readonly name: string };
  readonly metadata?: Metadata;
}

/** Metadata as Istio writes it: which object made the resource. */
export interface Metadata {
  readonly filter_metadata?: { readonly istio?: { readonly config?: string } };
}

/** A route. */
export interface RouteEntry {
  readonly name?: string;
  readonly match: Readonly<Record<string, unknown>>;
  readonly metadata?: Metadata;
  readonly route?: {
    readonly cluster?: string;
    readonly cluster_header?: string;
    readonly weighted_clusters?: {
      readonly clusters: readonly { readonly name: string; readonly weight?: number }[];
    };
  };
  readonly redirect?: object;
  readonly direct_response?: { readonly status: number };
}

/** A route configuration. */
export interface RouteConfig {
  readonly name?: string;
  readonly virtual_hosts?: readonly {
    readonly name: string;
    readonly domains: readonly string[];
    readonly routes?: readonly RouteEntry[];
  }[];
}

/** One section of `/config_dump`. */
export interface DumpSection extends SecretSection {
  readonly "@type": string;
  readonly bootstrap?: unknown;
  readonly static_listeners?: readonly { readonly listener: ListenerConfig }[];
  readonly dynamic_listeners?: readonly {
    readonly name: string;
    readonly active_state?: { readonly listener: ListenerConfig };
  }[];
  readonly static_clusters?: readonly { readonly cluster: ClusterConfig }[];
  readonly dynamic_active_clusters?: readonly { readonly cluster: ClusterConfig }[];
  readonly static_route_configs?: readonly { readonly route_config: RouteConfig }[];
  readonly dynamic_route_configs?: readonly { readonly route_config: RouteConfig }[];
}

/** `/config_dump`. */
export interface ConfigDump {
  readonly configs: readonly DumpSection[];
}

/** `/clusters?format=json`. */
export interface ClusterStatuses {
  readonly cluster_statuses?: readonly {
    readonly name: string;
    readonly host_statuses?: readonly {
      readonly address: {
        readonly socket_address?: { readonly address: string; readonly port_value?: number };
        readonly pipe?: { readonly path: string };
      };
      readonly health_status: {
        readonly eds_health_status?: string;
        readonly failed_outlier_check?: boolean;
        readonly failed_active_health_check?: boolean;
      };
      readonly weight?: number;
      readonly locality?: { readonly region?: string; readonly zone?: string };
    }[];
  }[];
}

/** Listeners of a dump, by name. */
export function listenersOf({ configs }: ConfigDump): readonly ListenerConfig[] {
  const all = configs.flatMap((section) => [
    ...(section.static_listeners ?? []).map((one) => one.listener),
    ...(section.dynamic_listeners ?? []).flatMap((one) => one.active_state?.listener ?? []),
  ]);
  return all.toSorted((a, b) => a.name.localeCompare(b.name));
}

/** Clusters of a dump, by name. */
export function clustersOf({ configs }: ConfigDump): readonly ClusterConfig[] {
  const all = configs.flatMap((section) =>
    [...(section.static_clusters ?? []), ...(section.dynamic_active_clusters ?? [])].map((one) => one.cluster),
  );
  return all.toSorted((a, b) => a.name.localeCompare(b.name));
}

/** Route configurations of a dump, by name; inbound ones stand inside their listeners. */
export function routesOf({ configs }: ConfigDump): readonly RouteConfig[] {
  const all = configs.flatMap((section) =>
    [...(section.dynamic_route_configs ?? []), ...(section.static_route_configs ?? [])].map((one) => one.route_config),
  );
  return all.toSorted((a, b) => (a.name ?? "").localeCompare(b.name ?? ""));
}

/** The bootstrap of a dump. */
export function bootstrapOf({ configs }: ConfigDump): unknown {
  return configs.find((section) => section["@type"].endsWith(".BootstrapConfigDump"))?.bootstrap;
}
