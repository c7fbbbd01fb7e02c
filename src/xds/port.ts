import type { Query } from "#incremental/query.ts";
import type { EncodedResource, TypeUrl } from "#proto/encoded.ts";

/** What a proxy can do that it should not. The codes stand in `src/api/message-types.ts`. */
export type ConductCode =
  | "ProxyAsksTooMuch"
  | "ProxyChangesNode"
  | "ProxyClaimsMany"
  | "ProxyDuplicated"
  | "ProxyFloods"
  | "ProxyForeignAnswer"
  | "ProxyInvalidNode"
  | "ProxyInvalidRequest"
  | "ProxyNeverReads"
  | "ProxyReconnects"
  | "ProxyRefusesAgain"
  | "ProxySaysNothing";

/** What a proxy did that it should not. */
export interface ProxyFinding {
  /** The proxy's node id; empty for a peer that has not said who it is. */
  readonly node: string;
  /** Its metadata's `CLUSTER_ID`; empty where that is not told. */
  readonly cluster: string;
  readonly code: ConductCode;
  /** What it did, which limit it met and what to do, with the proxy as the subject that stands before: `opened ...`. */
  readonly what: string;
  /** Milliseconds since the epoch of the first time, of the last, and how often it was. */
  readonly since: number;
  readonly last: number;
  readonly count: number;
}

/** What a proxy says of itself, from `envoy.config.core.v3.Node`. */
export interface ProxyNode {
  /** `type~address~name.namespace~domain`, as Istio's agent builds it. */
  readonly id: string;
  /** Envoy's service cluster, such as `reviews.shop`. */
  readonly cluster: string;
  /** Node metadata as plain JSON, with Istio's names (`CLUSTER_ID`, `LABELS`, `NAMESPACE`, ...). */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** `user_agent_build_version` as `1.40.0`; empty when not told. */
  readonly version: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subzone: string };
  /** Present where it was found that its account may not read the Secrets of its namespace: never by its own word. */
  readonly withoutSecrets?: true;
}

/**
 * What a proxy does with virtual hosts: it holds them inside of route configurations, as resources of their own (VHDS), or
 * as such and asks for those that a request wants and it does not hold.
 */
export type VirtualHostUse = "inside" | "apart" | "asked";

/** A proxy that asks for virtual hosts and clusters by name. */
export interface AskingProxy {
  readonly node: ProxyNode;
  /** The key of its class. */
  readonly class: string;
}

/** Who learns what proxies ask for by name. */
export interface Demand {
  /** A proxy that may ask is there. */
  came(proxy: AskingProxy): void;
  /**
   * A proxy asks for virtual hosts, `ROUTE CONFIGURATION/HOST`, or clusters. What it is to have of them must be in the source on
   * return.
   */
  asked(proxy: AskingProxy, names: readonly string[]): void;
  /** The proxy's stream ended. */
  left(proxy: AskingProxy): void;
}

/** Names a set of resources that proxies share. Opaque to this room. */
export type ScopeKey = string;

/**
 * Which scopes make up each type's resources for a class of proxies, in order; names do not overlap. Those of virtual
 * hosts stand for one scope for each route configuration (`hostScope`); proxies that hold these whole have none. Of virtual
 * hosts names may overlap: the first scope that has one wins.
 */
export type ProxyScopes = Readonly<Record<TypeUrl, readonly ScopeKey[]>>;

/** A resource's place: a scope and a name in it. */
export interface ScopedName {
  readonly scope: ScopeKey;
  readonly name: string;
}

/**
 * Where the server gets resources from. Everything is a query, so the server observes what proxies hold and learns
 * of each change once per scope, however many proxies share it.
 */
export interface ResourceSource {
  /**
   * The class of a proxy: what it is, less what makes no difference to its resources.
   * @throws WeftError `InvalidArgument` when the node lacks what is needed; the stream is refused with it.
   */
  classOf(node: ProxyNode, virtualHosts: VirtualHostUse): string;
  /**
   * The scope of the virtual hosts of one route configuration, by a class's scope of virtual hosts. Each is named
   * `CONFIGURATION/HOST`. Undefined where the configuration itself holds them.
   */
  hostScope(scope: ScopeKey, configuration: string): ScopeKey | undefined;
  /** A class's scopes. May change, such as when a Sidecar resource is added. */
  readonly scopes: Query<string, ProxyScopes>;
  /** Names of a scope of a type that proxies ask for as a whole (clusters, listeners), sorted. */
  readonly names: Query<ScopeKey, readonly string[]>;
  /** A resource, or undefined where the scope has none of that name. */
  readonly resource: Query<ScopedName, EncodedResource | undefined>;
}

/** Where a proxy stands with one type. `never`: it has not asked for the type. */
export interface TypeState {
  readonly state: "SYNCED" | "STALE" | "NACKED" | "NEVER";
  /** Version last acknowledged; empty before the first. */
  readonly version: string;
  /** Milliseconds since the epoch when the state was entered. */
  readonly since: number;
  /** Resources and text of the refusal that stands, when `NACKED`. */
  readonly refused?: { readonly resources: readonly string[]; readonly message: string };
  /** How much the proxy is to hold; absent before it has asked for something. */
  readonly size?: ConfigurationSize;
}

/** Resources, and their bytes as they are sent. */
export interface ConfigurationSize {
  readonly resources: number;
  readonly bytes: number;
}

/** The endpoints that a proxy is to hold, as they are now. */
export interface DueEndpoints {
  /** The same object for all proxies that are to hold the same, as long as the revision is. */
  readonly view: object;
  readonly revision: number;
  readonly resources: () => Iterable<EncodedResource>;
}

/** A connected proxy, as status and operators see it. */
export interface ProxyStatus {
  readonly node: ProxyNode;
  /** Milliseconds since the epoch. */
  readonly connectedAt: number;
  readonly virtualHosts: VirtualHostUse;
  readonly types: Readonly<Partial<Record<TypeUrl, TypeState>>>;
}

/** How connected proxies stand, in numbers. */
export interface ProxyStandings {
  readonly connected: number;
  /** Those that have acknowledged the newest of every type. */
  readonly inSync: number;
  /** Those that refuse something. */
  readonly refusing: number;
  /** By the cluster that they say they are in; under the empty name those that say none. */
  readonly clusters: ReadonlyMap<string, ClusterStandings>;
}

/** How many proxies of one cluster are connected, and how many of them have acknowledged the newest of every type. */
export interface ClusterStandings {
  readonly connected: number;
  readonly inSync: number;
}

/** What the server tells of its proxies. */
export interface ProxyStatusSource {
  /** Every connected proxy, by node id. */
  proxies(): readonly ProxyStatus[];
  /** Those that refuse something, by node id. */
  refusing(): readonly ProxyStatus[];
  /** How many stand how: cheap enough to be asked for while thousands connect. */
  standings(): ProxyStandings;
  /** What proxies did that they should not, also such as are not connected any more. */
  findings(): readonly ProxyFinding[];
  /** Whether a proxy has a stream, by its node id. */
  connected(node: string): boolean;
  /** The endpoints that a proxy is to hold; undefined of one that is not connected, or has not asked for any. */
  endpoints(node: string): DueEndpoints | undefined;
  /** Calls back when a proxy connects, leaves, refuses something or stops refusing it, or a finding comes or goes; coalesced. */
  onChange(callback: () => void): Disposable;
}
