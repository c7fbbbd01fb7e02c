import { canonical } from "#base/canonical.ts";
import { ownValue } from "#api/record.ts";
import type { HTTPMatchRequest } from "#api/istio/http-match.ts";
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

/** A place as a key: equal places, equal keys. */
export function placeKey({ source: { namespace, labels }, port, gateway }: RoutePlace): string {
  const told = Object.keys(labels).length === 0 ? "" : canonical(labels);
  return `${port}|${gateway}|${namespace}|${told}`;
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

/** What the matches of routes look at in a source. */
export interface SourceReads {
  readonly namespace: boolean;
  /** Names of labels, sorted. */
  readonly labels: readonly string[];
}

/** A route, as far as it may be for some sources only. */
interface SourceMatching {
  readonly match?: readonly { readonly sourceNamespace?: string; readonly sourceLabels?: StringMap }[];
}

/** What the matches of these routes look at in a source. */
export function sourceReads(routes: readonly SourceMatching[]): SourceReads {
  const matches = routes.flatMap((route) => route.match ?? []);
  return {
    namespace: matches.some((match) => (match.sourceNamespace ?? "") !== ""),
    labels: [...new Set(matches.flatMap((match) => Object.keys(match.sourceLabels ?? {})))].toSorted(),
  };
}

/** The part of a source that is looked at. Callers who differ only in the rest share their routes. */
export function projectSource(reads: SourceReads, source: RouteSource): RouteSource {
  const labels = reads.labels.flatMap((name) => {
    const value = ownValue(source.labels, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return { namespace: reads.namespace ? source.namespace : "", labels: Object.fromEntries(labels) };
}
