import { canonical } from "#base/canonical.ts";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { HijackMode } from "#api/weft/hijack-mode.ts";
import type { Client } from "#model/client.ts";
import type { Bucket } from "#model/clients.ts";
import type { ChosenPolicies } from "#model/policies.ts";
import type { PeerPolicy } from "#model/peer-authentications.ts";
import type { TrafficConfig } from "#model/proxy-config.ts";
import type { InboundKey } from "#model/workloads.ts";
import type { ClusterUser } from "./cluster-queries.ts";
import type { Origin, Place } from "./endpoints/locality.ts";
import type { Asks } from "./listeners/asks.ts";
import type { OwnKind } from "./own-endpoints.ts";
import type { PatchScope, ScopePatches } from "./patches/scope.ts";
import type { SecretReaders } from "./secrets/queries.ts";
import type { RouteSource } from "./routes/source.ts";
import type { GatewayRouteView, RouteView, SidecarRouteView } from "./view.ts";

/** What a workload takes, and whose word that is. */
export interface PeerScope {
  readonly policy: PeerPolicy;
  readonly identified: boolean;
}

/** What the agent of a proxy is told: settings that hold from its start, and how connections are led to it. */
export interface StartSettings {
  readonly config: MeshProxyConfig;
  readonly hijack?: HijackMode;
  /** Whether statistics are put together when somebody asks for them, and not every five seconds. */
  readonly flushesWhenAsked?: true;
}

/** A set of resources as translation makes them; see `PatchScope` for those of proxies for which there are EnvoyFilters. */
export type Scope = PlainScope | PatchScope | HostScope | HeldScope;

/** Route configurations for proxies that get virtual hosts as resources of their own (VHDS). */
export type HostScope =
  /** The route configurations of another scope, by its key, without their virtual hosts. */
  | { readonly kind: "hostless-routes"; readonly of: string }
  /** The virtual hosts of one of them. */
  | { readonly kind: "virtual-hosts"; readonly of: string; readonly configuration: string }
  /** The placeholder of each route configuration whose virtual hosts can be asked for. */
  | { readonly kind: "placeholders" }
  /** That of one of them. */
  | { readonly kind: "placeholder"; readonly configuration: string };

/** Those resources of another scope, by its key, that proxies hold which hold only what their workload calls. */
export interface HeldScope {
  readonly kind: "held";
  readonly of: string;
  /** A `Holder` as its key. */
  readonly by: string;
}

/** Who holds only what is called. */
export interface Holder {
  /** `namespace/name`. */
  readonly workload: string;
  /** The client whose Sidecar declares hosts. */
  readonly declaring: Client;
  /** How its proxies see routes. */
  readonly view: SidecarRouteView;
}

/** Who holds only what is called, as a key. */
export function holderKey(holder: Holder): string {
  return canonical(holder);
}

/** Who a key stands for. */
export function parseHolder(key: string): Holder {
  return JSON.parse(key) as Holder;
}

/**
 * A set of resources of one type that proxies share. Each kind holds just what its resources are made from, so that
 * proxies that agree in it share the set. `own` are settings of single proxies, where they are others than the mesh's.
 */
export type PlainScope =
  /** Clusters of a bucket's services. */
  | ({ readonly kind: "outbound-clusters"; readonly bucket: Bucket } & ClusterUser)
  /** Clusters that every proxy of a type has. */
  | { readonly kind: "fixed-clusters"; readonly proxy: "sidecar" | "router"; readonly ipv6?: true }
  /** Clusters of a workload's own ports. */
  | { readonly kind: "inbound-clusters"; readonly inbound: InboundKey; readonly client: Client }
  /** Endpoints of the services that a client sees, as seen from a place. */
  | { readonly kind: "endpoints"; readonly client: Client; readonly place: Place; readonly origin: Origin }
  /** Endpoints of a proxy's own kind. */
  | { readonly kind: "own-endpoints"; readonly own: OwnKind }
  /** Listeners for what a client calls, as rules for connections have it for this source. */
  | {
      readonly kind: "outbound-listeners";
      readonly client: Client;
      readonly cluster: string;
      readonly source: RouteSource;
      readonly own?: TrafficConfig;
      /** Whether nothing is redirected: callers connect to the listeners, on their loopback. */
      readonly unredirected?: true;
      /** What requests wait for that the proxy does not hold. */
      readonly asks?: Asks;
      /** Whether the proxies have certificates of the mesh. */
      readonly identified?: true;
    }
  /** The listener that takes all that a workload calls. */
  | {
      readonly kind: "virtual-outbound";
      readonly client: Client;
      readonly transparent: boolean;
      readonly own?: TrafficConfig;
    }
  /** The listener that takes all calls of a workload, and those that its Sidecar has bound. */
  | {
      readonly kind: "virtual-inbound";
      readonly inbound: InboundKey;
      readonly transparent: boolean;
      /** What the workload takes; absent where all is plain text. */
      readonly peers?: PeerScope;
      readonly own?: TrafficConfig;
      /** Who may call; absent where nothing says. */
      readonly policies?: ChosenPolicies;
    }
  /** Listeners of gateways. */
  | {
      readonly kind: "gateway-listeners";
      readonly view: GatewayRouteView;
      readonly own?: TrafficConfig;
      readonly policies?: ChosenPolicies;
      /** Whether the proxies have certificates of the mesh. */
      readonly identified?: true;
    }
  | { readonly kind: "routes"; readonly view: RouteView }
  /** Certificates and authorities that proxies may read. */
  | { readonly kind: "secrets"; readonly readers: SecretReaders }
  /** What the agent is told of a proxy: settings that hold from its start, and patches of its bootstrap. */
  | ({ readonly kind: "bootstrap"; readonly patches: readonly ScopePatches[] } & StartSettings)
  /** Names that a proxy's DNS answers. */
  | { readonly kind: "name-table"; readonly client: Client; readonly cluster: string; readonly network: string };

/** A scope as a key: equal scopes, equal keys. */
export function scopeKey(scope: Scope): string {
  return canonical(scope);
}

/** The scope that a key stands for. */
export function parseScope(key: string): Scope {
  return JSON.parse(key) as Scope;
}

/** Whether a scope is one of its own, not one made from another. */
export function isPlain(scope: Scope): scope is PlainScope {
  return !derivedKinds.has(scope.kind);
}

const derivedKinds: ReadonlySet<Scope["kind"]> = new Set([
  "patched",
  "added",
  "extensions",
  "hostless-routes",
  "virtual-hosts",
  "held",
  "placeholders",
  "placeholder",
]);

/** The scope of plain resources that a key stands for, where one of another kind cannot be. */
export function parsePlain(key: string): PlainScope {
  return JSON.parse(key) as PlainScope;
}

/** The scope whose resources a scope has, patched or not; undefined for those that patches add. */
export function beforePatches(key: string): PlainScope | undefined {
  const scope = parseScope(key);
  if (isPlain(scope)) return scope;
  return "of" in scope ? beforePatches(scope.of) : undefined;
}
