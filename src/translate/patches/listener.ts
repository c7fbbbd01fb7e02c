import type { FilterChain } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { type Listener, ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { FilterChainSchema } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { managerOf, mergeFilter, patchFilters, type PatchTools, setManager } from "./filters.ts";
import { copyOfValue, patchedList } from "./list.ts";
import { listenerFilterMatch, meetsChain, meetsListener } from "./listener-match.ts";
import { mergeMessage } from "#proto/merge.ts";
import { isMerge, type Patch } from "./patch.ts";
import { patchRoutes } from "./route.ts";
import { listsOf, mergeSocket } from "./transport.ts";

/** The chain after the patches for chains that are for it; undefined when one takes it away. */
function patchedChain(listener: Listener, chain: FilterChain, tools: PatchTools): FilterChain | undefined {
  const { patches, context, registry } = tools;
  for (const patch of patches.of("FILTER_CHAIN", context)) {
    if (!meetsListener(listener, patch) || !meetsChain(listener, chain, patch)) continue;
    if (patch.operation === "REMOVE") return undefined;
    if (!isMerge(patch.operation)) continue;
    const done = mergeSocket(chain.transportSocket, patch.value.transportSocket, registry);
    if (!done) mergeMessage(FilterChainSchema, chain, patch.value, listsOf(patch.operation));
  }
  patchFilters(listener, chain, tools);
  return chain;
}

function patchChains(listener: Listener, tools: PatchTools): void {
  const { filterChains, defaultFilterChain } = listener;
  const kept = filterChains.flatMap((chain) => patchedChain(listener, chain, tools) ?? []);
  if (defaultFilterChain) {
    const left = patchedChain(listener, defaultFilterChain, tools);
    if (left) listener.defaultFilterChain = left;
    else delete listener.defaultFilterChain;
  }
  const added = tools.patches
    .of("FILTER_CHAIN", tools.context)
    .flatMap((patch) =>
      patch.operation === "ADD" && meetsListener(listener, patch) ? [copyOfValue("FILTER_CHAIN", patch.value)] : [],
    );
  listener.filterChains = [...kept, ...added];
}

function patchListenerFilters(listener: Listener, { patches, context, registry }: PatchTools): void {
  for (const patch of patches.of("LISTENER_FILTER", context)) {
    if (!meetsListener(listener, patch)) continue;
    const found = listenerFilterMatch(patch.match);
    listener.listenerFilters = patchedList(listener.listenerFilters, patch, found);
    if (patch.operation !== "MERGE" || !found.named) continue;
    for (const filter of listener.listenerFilters) {
      if (found.matches(filter)) mergeFilter(filter, patch.value, registry);
    }
  }
}

/** Applies the patches for routes to those that stand in the listener itself. */
function patchInlineRoutes(listener: Listener, tools: PatchTools): void {
  for (const filter of listener.filterChains.flatMap((chain) => chain.filters)) {
    const manager = managerOf(filter);
    if (manager?.routeSpecifier.case !== "routeConfig") continue;
    patchRoutes(manager.routeSpecifier.value, tools);
    setManager(filter, manager);
  }
}

function whole(listener: Listener, patches: readonly Patch<"LISTENER">[]): Listener | undefined {
  for (const patch of patches) {
    if (!meetsListener(listener, patch)) continue;
    if (patch.operation === "REMOVE") return undefined;
    if (isMerge(patch.operation)) mergeMessage(ListenerSchema, listener, patch.value, listsOf(patch.operation));
  }
  return listener;
}

/** Applies the patches for a listener and all that is in it. Gives undefined when one takes it away. */
export function patchListener(listener: Listener, tools: PatchTools): Listener | undefined {
  const { name } = listener;
  patchInlineRoutes(listener, tools);
  if (!whole(listener, tools.patches.of("LISTENER", tools.context))) return undefined;
  // A proxy asks for it by this name.
  listener.name = name;
  patchListenerFilters(listener, tools);
  patchChains(listener, tools);
  return listener;
}
