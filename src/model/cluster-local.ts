import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { clusterDomain, compareHosts } from "./hosts.ts";
import type { MeshConfig } from "#api/istio/mesh-config.ts";
import { only, type ServiceQueries } from "./services.ts";

/** Hosts that every cluster has for itself unless the mesh says otherwise: Kubernetes' own, and the control plane. */
const defaults: readonly string[] = [
  `*.kube-system.svc.${clusterDomain}`,
  `kubernetes.default.svc.${clusterDomain}`,
  `istiod.istio-system.svc.${clusterDomain}`,
];

/** Whether a setting for a host is about all of what a default is, or about some of it. */
function overrides(host: string, byDefault: string): boolean {
  return host === byDefault || (isWildcard(byDefault) && host.endsWith(byDefault.slice(1)));
}

/** Hosts, possibly wildcards, and whether they are each cluster's own; the most specific first. */
function localHosts(
  settings: NonNullable<MeshConfig["serviceSettings"]>,
): readonly (readonly [host: string, local: boolean])[] {
  const told = settings.flatMap(({ hosts = [], settings: { clusterLocal = false } = {} }) =>
    hosts.map((host) => [host, clusterLocal] as const),
  );
  const shared = told.filter(([, local]) => !local).map(([host]) => host);
  const kept = defaults.filter((each) => !shared.some((host) => overrides(host, each)));
  const all = new Map([...told, ...kept.map((host) => [host, true] as const)]);
  return [...all].toSorted(([a], [b]) => compareHosts(a, b));
}

/** Declares whether callers of a host are led to endpoints of their own cluster only, by Istio's `serviceSettings`. */
export function clusterLocalQuery(engine: Engine, services: ServiceQueries): Query<string, boolean> {
  const hosts = engine.stringQuery("cluster-local-hosts", () => localHosts(services.mesh.get(only).serviceSettings));
  return engine.stringQuery("cluster-local", (host) => {
    const found = hosts.get(only).find(([pattern]) => hostMatches(pattern, host));
    return found?.[1] ?? false;
  });
}
