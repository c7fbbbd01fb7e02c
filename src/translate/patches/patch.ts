import type { MessageShape } from "@bufbuild/protobuf";
import type { ConfigPatch } from "#api/istio/envoy-filter.ts";
import { BootstrapSchema } from "#proto/gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { ClusterSchema } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { TypedExtensionConfigSchema } from "#proto/gen/envoy/config/core/v3/extension_pb.js";
import {
  FilterChainSchema,
  FilterSchema,
  ListenerFilterSchema,
} from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { RouteSchema, VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { HttpFilterSchema } from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import type { Phase } from "./phase.ts";

/** What can be patched, and the message that stands for it. */
export const patchedSchemas = {
  LISTENER: ListenerSchema,
  LISTENER_FILTER: ListenerFilterSchema,
  FILTER_CHAIN: FilterChainSchema,
  NETWORK_FILTER: FilterSchema,
  HTTP_FILTER: HttpFilterSchema,
  ROUTE_CONFIGURATION: RouteConfigurationSchema,
  VIRTUAL_HOST: VirtualHostSchema,
  HTTP_ROUTE: RouteSchema,
  CLUSTER: ClusterSchema,
  EXTENSION_CONFIG: TypedExtensionConfigSchema,
  BOOTSTRAP: BootstrapSchema,
} as const;

/** A kind of thing that can be patched. */
export type ApplyTo = keyof typeof patchedSchemas;

/** The message of a kind of thing. */
export type Patched<A extends ApplyTo> = MessageShape<(typeof patchedSchemas)[A]>;

/** Whose configuration a resource is. */
export type PatchContext = "SIDECAR_INBOUND" | "SIDECAR_OUTBOUND" | "GATEWAY";

/** What a patch is for. */
export type Match = NonNullable<ConfigPatch["match"]>;

/** How a value is put in. */
export type Operation =
  | "ADD"
  | "MERGE"
  | "MERGE_AND_REPLACE_LIST"
  | "INSERT_BEFORE"
  | "INSERT_AFTER"
  | "INSERT_FIRST"
  | "REPLACE";

/** A patch as objects come to it: an EnvoyFilter's own, or the filter of an extension. */
export interface WrittenPatch extends ConfigPatch {
  /** Where an extension's filter stands; absent for patches of EnvoyFilters. */
  readonly phase?: Phase;
}

/** One change of an EnvoyFilter, read and found good. */
export type Patch<A extends ApplyTo = ApplyTo> = {
  readonly applyTo: A;
  readonly match: Match;
  /** Where an extension's filter stands; absent for patches of EnvoyFilters. */
  readonly phase?: Phase;
} & (
  | { readonly operation: "REMOVE" }
  | {
      readonly operation: Operation;
      /** Shared by all that it is put into: clone it first. */
      readonly value: Patched<A>;
    }
);

/** Patches by what they are for, in the order in which they are applied. */
export interface Patches {
  /** Those of a kind; with a context, those that are for it. */
  of<A extends ApplyTo>(applyTo: A, context?: PatchContext): readonly Patch<A>[];
}

/** Patches in their order, to be asked for by kind. */
export function patchesOf(all: readonly Patch[]): Patches {
  const byKind = Map.groupBy(all, ({ applyTo }) => applyTo);
  return {
    of: <A extends ApplyTo>(applyTo: A, context?: PatchContext) =>
      // The group of a kind holds patches of that kind.
      ((byKind.get(applyTo) ?? []) as unknown as readonly Patch<A>[]).filter(
        ({ match }) => context === undefined || meetsContext(match.context, context),
      ),
  };
}

/** Whether what is for one context (or `ANY`) is for another. */
export function meetsContext(wanted: string | undefined, context: PatchContext): boolean {
  return wanted === undefined || wanted === "ANY" || wanted === context;
}

/** Whether what is added whole is for a context; for no certain one it is for what goes out, and for gateways. */
export function addsFor(wanted: string, context: PatchContext): boolean {
  return wanted === context || (wanted === "ANY" && context !== "SIDECAR_INBOUND");
}

/** Whether an operation puts the value's fields into what is there. */
export function isMerge(operation: Patch["operation"]): boolean {
  return operation === "MERGE" || operation === "MERGE_AND_REPLACE_LIST";
}
