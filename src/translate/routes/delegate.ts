import { ownValue } from "#api/record.ts";
import type { HTTPMatchRequest, StringMatch } from "#api/istio/http-match.ts";
import type { HTTPRoute } from "#api/istio/http-route.ts";

type Matches = Readonly<Record<string, StringMatch>>;

/** Whether no text could meet both matches, or the inner one may hold where the outer one does not. */
function textsConflict(outer: StringMatch | undefined, inner: StringMatch | undefined): boolean {
  if (!outer || !inner) return false;
  // Nothing can be said of how two regular expressions, or one and a text, lie to each other.
  if (outer.regex !== undefined || inner.regex !== undefined) return true;
  if (outer.exact !== undefined) return inner.exact !== outer.exact;
  if (outer.prefix === undefined) return true;
  return !(inner.prefix ?? inner.exact ?? "").startsWith(outer.prefix);
}

function mapsConflict(outer: Matches = {}, inner: Matches = {}): boolean {
  return Object.entries(inner).some(([name, match]) => textsConflict(ownValue(outer, name), match));
}

function sourcesConflict(outer: HTTPMatchRequest, inner: HTTPMatchRequest): boolean {
  const { sourceLabels = {}, sourceNamespace = "" } = outer;
  if (sourceNamespace !== "" && inner.sourceNamespace !== sourceNamespace) return true;
  return Object.entries(inner.sourceLabels ?? {}).some(
    ([key, value]) => (ownValue(sourceLabels, key) ?? value) !== value,
  );
}

function gatewaysConflict(outer: readonly string[] = [], inner: readonly string[] = []): boolean {
  return outer.length > 0 && inner.some((gateway) => !outer.includes(gateway));
}

/** Whether a delegate's match is not within its root's, as Istio decides it: field by field. */
function conflicts(outer: HTTPMatchRequest, inner: HTTPMatchRequest): boolean {
  return (
    (["uri", "scheme", "method", "authority"] as const).some((field) => textsConflict(outer[field], inner[field])) ||
    (["headers", "withoutHeaders", "queryParams"] as const).some((field) => mapsConflict(outer[field], inner[field])) ||
    (outer.ignoreUriCase ?? false) !== (inner.ignoreUriCase ?? false) ||
    ((outer.port ?? 0) > 0 && (inner.port ?? 0) > 0 && outer.port !== inner.port) ||
    sourcesConflict(outer, inner) ||
    gatewaysConflict(outer.gateways, inner.gateways)
  );
}

/** `root-leaf`, or the one that is there. */
function joinNames(root = "", leaf = ""): string {
  return [root, leaf].filter((name) => name !== "").join("-");
}

/** A request that meets both: the inner match's fields, the outer one's where the inner has none. */
function mergeMatch(outer: HTTPMatchRequest, inner: HTTPMatchRequest): HTTPMatchRequest {
  const name = joinNames(outer.name, inner.name);
  return {
    ...outer,
    ...inner,
    ...(name !== "" && { name }),
    headers: { ...outer.headers, ...inner.headers },
    withoutHeaders: { ...outer.withoutHeaders, ...inner.withoutHeaders },
    queryParams: { ...outer.queryParams, ...inner.queryParams },
    sourceLabels: { ...outer.sourceLabels, ...inner.sourceLabels },
  };
}

/** Both lists of matches as one; undefined when a match of the delegate lies within none of the root's. */
function mergeMatches(
  outer: readonly HTTPMatchRequest[] = [],
  inner: readonly HTTPMatchRequest[] = [],
): readonly HTTPMatchRequest[] | undefined {
  if (outer.length === 0) return inner;
  if (inner.length === 0) return outer;
  const merged = inner.map((leaf) =>
    outer.filter((root) => !conflicts(root, leaf)).map((root) => mergeMatch(root, leaf)),
  );
  return merged.some((each) => each.length === 0) ? undefined : merged.flat();
}

/** A delegate's route as its root has it; undefined when their matches conflict, as Istio then drops the route. */
function mergeRoute(root: HTTPRoute, leaf: HTTPRoute): HTTPRoute | undefined {
  const match = mergeMatches(root.match, leaf.match);
  if (!match) return undefined;
  const { delegate: _, redirect: __, route: ___, ...defaults } = root;
  const name = joinNames(root.name, leaf.name);
  return { ...defaults, ...leaf, ...(name !== "" && { name }), match };
}

/** A route of a delegate as its root has it. */
interface DelegatedRoute {
  /** Its place among the delegate's routes. */
  readonly leaf: number;
  readonly route: HTTPRoute;
}

/** The routes of a delegate in the place of the root's route that names it, without those that had to be dropped. */
export function mergeDelegate(root: HTTPRoute, delegate: readonly HTTPRoute[]): readonly DelegatedRoute[] {
  return delegate.flatMap((each, leaf) => {
    const route = mergeRoute(root, each);
    return route ? [{ leaf, route }] : [];
  });
}
