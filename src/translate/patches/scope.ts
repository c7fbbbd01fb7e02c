import { typeUrls } from "#proto/encoded.ts";
import { inboundPassthroughCluster } from "../names.ts";
import type { PlainScope } from "../scopes.ts";
import type { ApplyTo, PatchContext } from "./patch.ts";

/** Patches of one object. */
export interface ScopePatches {
  /** The object: `EnvoyFilter/namespace/name`. */
  readonly filter: string;
  /** Places in its `configPatches`. */
  readonly at: readonly number[];
}

/** Sets of resources that EnvoyFilters had a hand in. Proxies with the same patches share them. */
export type PatchScope =
  /** The resources of another scope, patched. */
  | {
      readonly kind: "patched";
      /** The other scope's key. */
      readonly of: string;
      /** In the order in which they are applied. */
      readonly patches: readonly ScopePatches[];
    }
  /** Resources that patches add whole. */
  | {
      readonly kind: "added";
      readonly type: AddedType;
      readonly context: PatchContext;
      readonly patches: readonly ScopePatches[];
      /** Names of other scopes' resources, which are left out here. */
      readonly except: readonly string[];
    }
  /** Configurations of filters that ask for them by name. */
  | { readonly kind: "extensions"; readonly patches: readonly ScopePatches[] };

/** In whose configuration a scope's resource stands. */
export function contextOf(scope: PlainScope, name: string): PatchContext {
  switch (scope.kind) {
    case "outbound-clusters":
      return scope.proxy === "router" ? "GATEWAY" : "SIDECAR_OUTBOUND";
    case "fixed-clusters":
      if (scope.proxy === "router") return "GATEWAY";
      return name === inboundPassthroughCluster ? "SIDECAR_INBOUND" : "SIDECAR_OUTBOUND";
    case "inbound-clusters":
    case "virtual-inbound":
      return "SIDECAR_INBOUND";
    case "routes":
      return scope.view.kind === "gateway" ? "GATEWAY" : "SIDECAR_OUTBOUND";
    case "gateway-listeners":
      return "GATEWAY";
    case "outbound-listeners":
    case "virtual-outbound":
    case "endpoints":
    case "own-endpoints":
    case "secrets":
    case "bootstrap":
    case "name-table":
      return "SIDECAR_OUTBOUND";
  }
}

const inListeners: readonly ApplyTo[] = [
  "LISTENER",
  "LISTENER_FILTER",
  "FILTER_CHAIN",
  "NETWORK_FILTER",
  "HTTP_FILTER",
];
const inRoutes: readonly ApplyTo[] = ["ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"];

/** Patches of which kinds concern the resources of a scope. */
export function kindsIn(scope: PlainScope): readonly ApplyTo[] {
  switch (scope.kind) {
    case "outbound-clusters":
    case "fixed-clusters":
    case "inbound-clusters":
      return ["CLUSTER"];
    case "virtual-inbound":
      // Its routes stand in the listener itself.
      return [...inListeners, ...inRoutes];
    case "outbound-listeners":
    case "virtual-outbound":
    case "gateway-listeners":
      return inListeners;
    case "routes":
      return inRoutes;
    case "endpoints":
    case "own-endpoints":
    case "secrets":
    case "bootstrap":
    case "name-table":
      return [];
  }
}

/** Types of which patches add whole resources, and the kind of these patches. */
export const addedKinds = { [typeUrls.cluster]: "CLUSTER", [typeUrls.listener]: "LISTENER" } as const;

/** A type of which patches add whole resources. */
export type AddedType = keyof typeof addedKinds;

/** Contexts that the resources of a scope may stand in. */
export function contextsOf(scope: PlainScope): readonly PatchContext[] {
  return scope.kind === "fixed-clusters" && scope.proxy === "sidecar"
    ? ["SIDECAR_OUTBOUND", "SIDECAR_INBOUND"]
    : [contextOf(scope, "")];
}
