import { type Registry } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { Filter, FilterChain } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import type { Listener } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { copyOfValue, type ItemMatch, patchedList } from "./list.ts";
import { httpFilterMatch, meetsChain, meetsListener, networkFilterMatch } from "./listener-match.ts";
import { mergeAny } from "#proto/merge.ts";
import type { Patch, PatchContext, Patched, Patches } from "./patch.ts";
import { placeOf, takesExtensions } from "./phase.ts";

/** The network filter that has filters of its own. */
const connectionManager = "envoy.filters.network.http_connection_manager";

/** What patches are applied with. */
export interface PatchTools {
  readonly patches: Patches;
  readonly context: PatchContext;
  /** Types of the configurations of filters. */
  readonly registry: Registry;
}

/** A filter of any kind: a name, and a configuration of its own type. */
export interface Named {
  name: string;
  configType: { case: "typedConfig"; value: Any } | { case: string | undefined; value?: unknown };
}

/**
 * Merges a filter's configuration with the one of a patch, and gives it the patch's name. Filters whose configuration is
 * elsewhere stay as they are.
 */
export function mergeFilter<F extends Named>(filter: F, { name, configType: wanted }: F, registry: Registry): void {
  const { configType } = filter;
  if (configType.case !== "typedConfig") return;
  if (name !== "") filter.name = name;
  if (wanted.case === "typedConfig") {
    configType.value = mergeAny(configType.value as Any, wanted.value as Any, registry);
  }
}

/** The HTTP connection manager that a filter is, or undefined. */
export function managerOf({ configType }: Pick<Filter, "configType">): HttpConnectionManager | undefined {
  return configType.case === "typedConfig" ? anyUnpack(configType.value, HttpConnectionManagerSchema) : undefined;
}

/** Gives a filter the HTTP connection manager that it is. */
export function setManager(filter: Filter, manager: HttpConnectionManager): void {
  filter.configType = { case: "typedConfig", value: anyPack(HttpConnectionManagerSchema, manager) };
}

/** Filters after a patch that is for their chain. */
function patchedFilters<A extends "HTTP_FILTER" | "NETWORK_FILTER">(
  filters: readonly Patched<A>[],
  patch: Patch<A>,
  match: ItemMatch<Patched<A>>,
): Patched<A>[] {
  const { applyTo, operation, phase } = patch;
  if (phase === undefined || operation === "REMOVE") return patchedList(filters, patch, match);
  return filters.toSpliced(placeOf(phase, filters), 0, copyOfValue(applyTo, patch.value));
}

function patchHttpFilters(listener: Listener, chain: FilterChain, filter: Filter, tools: PatchTools): void {
  const { patches, context, registry } = tools;
  const all = patches
    .of("HTTP_FILTER", context)
    .filter(
      (patch) =>
        meetsListener(listener, patch) &&
        meetsChain(listener, chain, patch) &&
        networkFilterMatch(patch.match).matches(filter),
    );
  const manager = all.length > 0 && filter.name === connectionManager ? managerOf(filter) : undefined;
  if (!manager) return;
  for (const patch of all)
    manager.httpFilters = patchedFilters(manager.httpFilters, patch, httpFilterMatch(patch.match));
  for (const each of manager.httpFilters) {
    for (const patch of all) {
      if (patch.operation === "MERGE" && httpFilterMatch(patch.match).matches(each)) {
        mergeFilter(each, patch.value, registry);
      }
    }
  }
  setManager(filter, manager);
}

/** Applies the patches for network filters of a chain, and for HTTP filters in these. */
export function patchFilters(listener: Listener, chain: FilterChain, tools: PatchTools): void {
  const { patches, context, registry } = tools;
  const extended = takesExtensions(chain, listener.udpListenerConfig !== undefined);
  const all = patches
    .of("NETWORK_FILTER", context)
    .filter((patch) => meetsListener(listener, patch) && meetsChain(listener, chain, patch))
    .filter(({ phase }) => extended || phase === undefined);
  for (const patch of all) chain.filters = patchedFilters(chain.filters, patch, networkFilterMatch(patch.match));
  for (const filter of chain.filters) {
    for (const patch of all) {
      if (patch.operation === "MERGE" && networkFilterMatch(patch.match).matches(filter)) {
        mergeFilter(filter, patch.value, registry);
      }
    }
    patchHttpFilters(listener, chain, filter, tools);
  }
}
