import { clone } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import type { Listener } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { managerOf, setManager } from "./filters.ts";
import type { Patches } from "./patch.ts";

interface Named {
  readonly name: string;
  configType: { case: "typedConfig"; value: Any } | { case: string | undefined; value?: unknown };
}

function configurations(patches: Patches): ReadonlyMap<string, Any> {
  const added = patches.of("EXTENSION_CONFIG").flatMap((patch) => {
    if (patch.operation === "REMOVE" || !patch.value.typedConfig) return [];
    return [[patch.value.name, patch.value.typedConfig] as const];
  });
  // As when they are served one by one, the first of a name is the one.
  return new Map(added.toReversed());
}

/**
 * Gives filters that ask for their configuration by name the one that a patch for EXTENSION_CONFIG has. Istio serves these
 * apart, to be changed without touching the listener; what the filters do is the same.
 */
export function inlineExtensions(listener: Listener, patches: Patches): void {
  const known = configurations(patches);
  if (known.size === 0) return;
  const inline = (filter: Named): boolean => {
    const config = filter.configType.case === "configDiscovery" ? known.get(filter.name) : undefined;
    if (config) filter.configType = { case: "typedConfig", value: clone(AnySchema, config) };
    return config !== undefined;
  };
  for (const filter of listener.listenerFilters) inline(filter);
  const chains = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
  for (const filter of chains.flatMap((chain) => chain.filters)) {
    inline(filter);
    const manager = managerOf(filter);
    if (manager && manager.httpFilters.map(inline).includes(true)) setManager(filter, manager);
  }
}
