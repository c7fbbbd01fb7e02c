import type {
  HeaderMatcher,
  QueryParameterMatcher,
  RouteMatch,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { authority, type ExplainedRequest } from "./request.ts";
import { regexMatches, stringMatches, stringText } from "./strings.ts";

/** What Envoy matches routes on. */
export interface MatchedRequest {
  /** Normalised, with the query. */
  readonly path: string;
  /** Pseudo headers included, by names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
}

/** A request as Envoy's routes see it. */
export function matchedRequest(request: ExplainedRequest): MatchedRequest {
  const { method, scheme, path, headers } = request;
  const { host: _host, ...others } = headers;
  return {
    path,
    headers: new Map([
      ...Object.entries(others),
      [":method", method],
      [":scheme", scheme],
      [":authority", authority(request)],
      [":path", path],
    ]),
  };
}

/** Why a request does not meet a matcher, in words; undefined where it does. */
type Mismatch = string | undefined;

function withoutQuery(path: string): string {
  return path.replace(/[?#].*$/s, "");
}

function pathMismatch({ pathSpecifier, caseSensitive = true }: RouteMatch, path: string): Mismatch {
  const bare = withoutQuery(path);
  const [given, fold] = caseSensitive
    ? [bare, (text: string): string => text]
    : [bare.toLowerCase(), (text: string): string => text.toLowerCase()];
  if (pathSpecifier.case === "safeRegex") {
    return regexMatches(pathSpecifier.value, bare) ? undefined : `the path must match ${pathSpecifier.value.regex}`;
  }
  if (pathSpecifier.case === "prefix") {
    return given.startsWith(fold(pathSpecifier.value)) ? undefined : `the path must begin with ${pathSpecifier.value}`;
  }
  if (pathSpecifier.case === "path") {
    return given === fold(pathSpecifier.value) ? undefined : `the path must be ${pathSpecifier.value}`;
  }
  if (pathSpecifier.case !== "pathSeparatedPrefix") return "the path is matched by a rule that cannot be followed here";
  const prefix = fold(pathSpecifier.value);
  const within = given === prefix || given.startsWith(`${prefix}/`);
  return within ? undefined : `the path must be ${pathSpecifier.value} or below it`;
}

function headerMismatch(matcher: HeaderMatcher, headers: ReadonlyMap<string, string>): Mismatch {
  const { name, headerMatchSpecifier: rule, invertMatch, treatMissingHeaderAsEmpty } = matcher;
  const value = headers.get(name.toLowerCase()) ?? (treatMissingHeaderAsEmpty ? "" : undefined);
  if (rule.case === "presentMatch" || rule.case === undefined) {
    const wanted = (rule.value ?? true) !== invertMatch;
    const met = headers.has(name.toLowerCase()) === wanted;
    return met ? undefined : `header ${name} must${wanted ? "" : " not"} be there`;
  }
  if (rule.case !== "stringMatch") return `header ${name} is matched by a rule that cannot be followed here`;
  // Without the header Envoy does not match, inverted or not.
  const met = value !== undefined && stringMatches(rule.value, value) !== invertMatch;
  return met ? undefined : `header ${name} must be one that${invertMatch ? " not" : ""} ${stringText(rule.value)}`;
}

function queryMismatch({ name, queryParameterMatchSpecifier: rule }: QueryParameterMatcher, path: string): Mismatch {
  const at = path.indexOf("?");
  const value = at < 0 ? null : new URLSearchParams(path.slice(at + 1)).get(name);
  if (rule.case === "stringMatch") {
    const met = value !== null && stringMatches(rule.value, value);
    return met ? undefined : `query parameter ${name} must be one that ${stringText(rule.value)}`;
  }
  return value === null ? `query parameter ${name} must be there` : undefined;
}

/**
 * Why a request does not meet a route's match; undefined where it does. Rules: `envoy.config.route.v3.RouteMatch`.
 * Claims of a token are not known here, so what asks for them is not met.
 */
export function routeMismatch(match: RouteMatch, { path, headers }: MatchedRequest): Mismatch {
  const claim = match.dynamicMetadata.find(({ invert }) => !invert);
  return (
    pathMismatch(match, path) ??
    match.headers.map((each) => headerMismatch(each, headers)).find((each) => each !== undefined) ??
    match.queryParameters.map((each) => queryMismatch(each, path)).find((each) => each !== undefined) ??
    (claim && `a token must have the claim ${claim.path.map(({ segment }) => segment.value).join(".")}`)
  );
}
