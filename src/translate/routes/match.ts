import type { HTTPMatchRequest, StringMatch } from "#api/istio/http-match.ts";
import { create } from "@bufbuild/protobuf";
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
  type RouteMatch,
  RouteMatchSchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { routedClaim, claimPath } from "./claims.ts";
import { matchesPresence, regexMatcher, stringMatcher } from "./string-match.ts";

type Matches = Readonly<Record<string, StringMatch>>;
type Path = RouteMatch["pathSpecifier"];

/** By code points, so that the same match always gives the same bytes. */
function sorted(matches: Matches | undefined): readonly [string, StringMatch][] {
  return Object.entries(matches ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function headerMatcher(name: string, match: StringMatch): HeaderMatcher {
  const value = stringMatcher(match);
  return create(HeaderMatcherSchema, {
    name,
    headerMatchSpecifier: value ? { case: "stringMatch", value } : { case: "presentMatch", value: true },
  });
}

/** A header that must be absent or have another value: absent counts as empty, which Envoy would otherwise not match. */
function withoutHeaderMatcher(name: string, match: StringMatch): HeaderMatcher {
  const matcher = headerMatcher(name, match);
  matcher.invertMatch = true;
  matcher.treatMissingHeaderAsEmpty = !matchesPresence(match);
  return matcher;
}

/** Whether a match is of a real header, not of a claim that goes by a header's name. */
function isHeader([name]: readonly [string, StringMatch]): boolean {
  return claimPath(name) === undefined;
}

function headerMatchers(match: HTTPMatchRequest): HeaderMatcher[] {
  const named = [
    ...sorted(match.headers)
      .filter(isHeader)
      .map(([name, value]) => headerMatcher(name, value)),
    ...sorted(match.withoutHeaders)
      .filter(isHeader)
      .map(([name, value]) => withoutHeaderMatcher(name, value)),
  ].toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  const pseudo = [
    [":method", match.method],
    [":authority", match.authority],
    [":scheme", match.scheme],
  ] as const;
  return [...named, ...pseudo.flatMap(([name, value]) => (value ? [headerMatcher(name, value)] : []))];
}

function queryMatchers(matches: Matches | undefined): QueryParameterMatcher[] {
  return sorted(matches).map(([name, match]) => {
    const value = stringMatcher(match);
    return create(QueryParameterMatcherSchema, {
      name,
      queryParameterMatchSpecifier: value ? { case: "stringMatch", value } : { case: "presentMatch", value: true },
    });
  });
}

function path(uri: StringMatch | undefined): Path {
  if (uri?.exact !== undefined) return { case: "path", value: uri.exact };
  if (uri?.regex !== undefined) return { case: "safeRegex", value: regexMatcher(uri.regex) };
  return { case: "prefix", value: uri?.prefix ?? "/" };
}

/** Envoy's form of a match; of what the request carries, not of where it comes from (`source.ts`). */
export function routeMatch(match: HTTPMatchRequest | undefined): RouteMatch {
  if (!match) return create(RouteMatchSchema, { pathSpecifier: path(undefined) });
  const claims = [
    ...sorted(match.headers).flatMap(([name, value]) => routedClaim(name, value, false) ?? []),
    ...sorted(match.withoutHeaders).flatMap(([name, value]) => routedClaim(name, value, true) ?? []),
  ];
  return create(RouteMatchSchema, {
    pathSpecifier: path(match.uri),
    caseSensitive: !(match.ignoreUriCase ?? false),
    headers: headerMatchers(match),
    queryParameters: queryMatchers(match.queryParams),
    dynamicMetadata: claims,
  });
}

/** Whether every request meets the match, so that no route behind it can be reached. */
export function matchesEverything(match: RouteMatch): boolean {
  const { pathSpecifier } = match;
  const everyPath =
    (pathSpecifier.case === "prefix" && pathSpecifier.value === "/") ||
    (pathSpecifier.case === "safeRegex" && pathSpecifier.value.regex === ".*");
  return (
    everyPath && match.headers.length === 0 && match.queryParameters.length === 0 && match.dynamicMetadata.length === 0
  );
}
