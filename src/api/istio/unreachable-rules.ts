import { canonical } from "#base/canonical.ts";
import { type FieldPath, warning } from "../field.ts";
import { ownValue } from "../record.ts";
import type { HTTPMatchRequest, StringMatch } from "./http-match.ts";
import type { HTTPRoute } from "./http-route.ts";

/** A rule of a VirtualService, of any protocol. */
interface Rule {
  readonly match?: readonly object[];
}

/** A match as text, without what does not decide whether it fits. */
function matchText(match: object): string {
  const { name: _, statPrefix: __, ...conditions } = match as HTTPMatchRequest;
  return canonical(conditions);
}

/** Finds rules that are never used, because rules before them take all that they match. */
export function* unusedRules(rules: readonly Rule[], path: FieldPath): Generator<string, void> {
  const seen = new Map<string, number>();
  let catchAll: number | undefined;
  for (const [index, { match = [] }] of rules.entries()) {
    const at = path.item(index);
    if (catchAll !== undefined)
      yield warning(at, `never used, since ${path.item(catchAll).toString()} matches everything`);
    else if (match.length === 0) catchAll = index;
    else yield* repeatedMatches(match, index, seen, path);
  }
}

function* repeatedMatches(
  match: readonly object[],
  index: number,
  seen: Map<string, number>,
  path: FieldPath,
): Generator<string, void> {
  const at = path.item(index);
  const repeated = match.map((one) => seen.get(matchText(one)));
  for (const [number, before] of repeated.entries()) {
    if (before !== undefined)
      yield warning(at.field("match").item(number), `never used, since ${path.item(before).toString()} has it too`);
  }
  if (repeated.every((before) => before !== undefined))
    yield warning(at, "never used, since rules before have all its matches");
  for (const one of match) if (!seen.has(matchText(one))) seen.set(matchText(one), index);
}

/** A match of the path by prefix, and where it stands. */
interface PrefixMatch {
  readonly match: HTTPMatchRequest;
  readonly prefix: string;
  readonly path: FieldPath;
}

/** A way to match a text, as text: expressions are not compared. */
function wayOf(match: StringMatch | undefined): string {
  if (match?.exact) return `exact:${match.exact}`;
  return match?.prefix ? `prefix:${match.prefix}` : "";
}

function covered(a: string, b: string): boolean {
  return a === b || a.startsWith(b);
}

function mapCovered(
  a: Readonly<Record<string, StringMatch>> | undefined,
  b: Readonly<Record<string, StringMatch>> | undefined,
): boolean {
  const left = Object.entries(a ?? {});
  if (left.length !== Object.keys(b ?? {}).length) return false;
  return left.every(([name, way]) => {
    const other = ownValue(b, name);
    return other !== undefined && covered(wayOf(way), wayOf(other));
  });
}

/** Whether a match takes all that a later one would, as far as Istio's analysis looks. */
function takesAllOf(first: PrefixMatch, later: PrefixMatch): boolean {
  const [a, b] = [first.match, later.match];
  return (
    later.prefix.startsWith(first.prefix) &&
    later.prefix !== first.prefix &&
    (a.port ?? 0) === (b.port ?? 0) &&
    covered(wayOf(a.method) || "exact:GET", wayOf(b.method) || "exact:GET") &&
    covered(wayOf(a.authority), wayOf(b.authority)) &&
    mapCovered(a.headers, b.headers) &&
    mapCovered(a.queryParams, b.queryParams) &&
    mapCovered(a.withoutHeaders, b.withoutHeaders) &&
    canonical([a.sourceLabels, a.sourceNamespace, a.gateways, a.scheme, a.ignoreUriCase]) ===
      canonical([b.sourceLabels, b.sourceNamespace, b.gateways, b.scheme, b.ignoreUriCase])
  );
}

/** Finds matches by prefix that are never used, because a shorter prefix comes before: `/api` before `/api/v2`. */
export function* shadowedPrefixes(routes: readonly HTTPRoute[], path: FieldPath): Generator<string, void> {
  const earlier: PrefixMatch[] = [];
  for (const [rule, { match = [] }] of routes.entries()) {
    for (const [index, one] of match.entries()) {
      const prefix = one.uri?.prefix;
      if (!prefix) continue;
      const found = { match: one, prefix, path: path.item(rule).field("match").item(index) };
      const before = earlier.find((candidate) => takesAllOf(candidate, found));
      if (before !== undefined)
        yield warning(found.path, `never used, since ${before.path.toString()} takes all paths under ${before.prefix}`);
      earlier.push(found);
    }
  }
}
