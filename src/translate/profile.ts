import { profileKey, profileOf } from "#api/weft/profile.ts";
import type { Model } from "#model/model.ts";
import type { UnusedFilter } from "#model/proxy-config.ts";
import { only } from "#model/services.ts";
import type { StartSettings } from "./scopes.ts";
import type { ProxyView } from "./view.ts";

/** Words by which a text refers to a filter, in its own name or an older one. */
const words: Readonly<Record<UnusedFilter, RegExp>> = {
  faults: /fault/i,
  cors: /cors/i,
  // What it has counted of a request is state of the request, which formats of logs can show.
  grpcStats: /grpc_?stats|filter_?state/i,
};

const filters = Object.keys(words) as readonly UnusedFilter[];

/** Whether a sidecar has the profile `performance`: its workload, its namespace or the mesh says so, the first of them that says one. */
function isPerformance(model: Model, { type, namespace, profile }: ProxyView): boolean {
  const { services } = model;
  const label = services.namespaceLabels(namespace)[profileKey];
  const chosen = profileOf(profile) ?? profileOf(label) ?? services.mesh.get(only).profile;
  return type === "sidecar" && chosen === "performance";
}

/** What of a sidecar's configuration the profile changes. */
export interface ProfileQueries {
  readonly isPerformance: (view: ProxyView) => boolean;
  /** Filters that nothing uses; none without the profile. */
  readonly unused: (view: ProxyView) => readonly UnusedFilter[];
}

/**
 * Declares them.
 * @param startOf how a proxy is started.
 */
export function profileQueries(model: Model, startOf: (view: ProxyView) => StartSettings): ProfileQueries {
  /** Whether statistics beside the usual ones are asked for, or extensions run, which see what filters leave behind. */
  const readsMore = (view: ProxyView): boolean =>
    startOf(view).config.proxyStatsMatcher !== undefined ||
    model.extensions.chosen(view).length > 0 ||
    model.envoyFilters.chosen(view).some(({ applyTo }) => applyTo === "BOOTSTRAP");

  /** All that says something in Envoy's words. */
  const written = (view: ProxyView): string => {
    const keys = new Set(model.envoyFilters.chosen(view).map(({ filter }) => filter.replace("EnvoyFilter/", "")));
    const patches = [...keys].map((key) => model.envoyFilters.filter.get(key)?.spec);
    const { accessLogFormat, extensionProviders } = model.services.mesh.get(only);
    return JSON.stringify([patches, accessLogFormat, extensionProviders]);
  };

  return {
    isPerformance: (view) => isPerformance(model, view),
    unused: (view) => {
      if (!isPerformance(model, view)) return [];
      const text = written(view);
      return filters.filter((each) => !words[each].test(text) && !(each === "grpcStats" && readsMore(view)));
    },
  };
}
