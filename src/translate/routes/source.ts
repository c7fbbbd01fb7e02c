import type { HTTPMatchRequest } from "#api/istio/http-match.ts";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import type { StringMap } from "#api/meta.ts";
import { labelsMatch } from "#model/labels.ts";

/** Who sends the requests: all of a workload that routing reads. */
export interface RouteSource {
  readonly namespace: string;
  readonly labels: StringMap;
}

/** Where routes stand: the caller, the listener's port, and the gateways that the listener belongs to. */
export interface RoutePlace {
  readonly source: RouteSource;
  /** The port that the listener has in the mesh: the service's port, or the gateway server's. */
  readonly port: number;
  /** `mesh` for a sidecar; otherwise `namespace/name` of the gateway. */
  readonly gateway: string;
}

/** Whether a match may hold for requests from this place; what the request itself carries is Envoy's to match. */
export function matchesPlace(match: HTTPMatchRequest | undefined, place: RoutePlace): boolean {
  if (!match) return true;
  if ((match.port ?? 0) !== 0 && match.port !== place.port) return false;
  // A match that names gateways says nothing of source workloads, as in Istio.
  if (match.gateways && match.gateways.length > 0) return match.gateways.includes(place.gateway);
  if (!labelsMatch(match.sourceLabels ?? {}, place.source.labels)) return false;
  return (match.sourceNamespace ?? "") === "" || match.sourceNamespace === place.source.namespace;
}

/**
 * The part of a source that some match of these routes looks at. Callers who differ only in the rest share their routes.
 */
export function sourceProjection(routes: readonly HTTPRoute[], source: RouteSource): RouteSource {
  const matches = routes.flatMap((route) => route.match ?? []);
  const keys = new Set(matches.flatMap((match) => Object.keys(match.sourceLabels ?? {})));
  const labels = Object.entries(source.labels).filter(([key]) => keys.has(key));
  return {
    namespace: matches.some((match) => (match.sourceNamespace ?? "") !== "") ? source.namespace : "",
    labels: Object.fromEntries(labels.toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
}
