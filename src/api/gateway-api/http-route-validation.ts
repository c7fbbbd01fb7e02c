import { isDuration, parseDuration } from "#base/duration.ts";
import type { FieldError } from "../kind.ts";
import { FieldPath, forbidden, invalid, required } from "../field.ts";
import { replacesPrefix, validateFilters } from "./filter-validation.ts";
import type { HTTPRoute, HTTPRouteMatch, HTTPRouteRule } from "./http-route.ts";
import { validateBackends, validateDistinct, validateMatchCount, validateParents } from "./route-validation.ts";

type Errors = Generator<FieldError>;

const pathCharacters = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;

function pathProblem(value: string): string | undefined {
  if (!value.startsWith("/")) return "must begin with '/'";
  const wrong = ["//", "/./", "/../", "%2f", "%2F", "#"].find((text) => value.includes(text));
  if (wrong !== undefined) return `must not contain ${wrong}`;
  if (/\/\.\.?$/.test(value)) return "must not end with '/.' or '/..'";
  return pathCharacters.test(value) ? undefined : "has characters that a path cannot have";
}

function* validateMatch({ path: { type, value }, headers, queryParams }: HTTPRouteMatch, path: FieldPath): Errors {
  const problem = type === "RegularExpression" ? undefined : pathProblem(value);
  if (problem !== undefined) yield invalid(path.field("path", "value"), value, problem);
  yield* validateDistinct(headers, path.field("headers"));
  yield* validateDistinct(queryParams, path.field("queryParams"));
}

function* validateTimeouts({ timeouts }: HTTPRouteRule, path: FieldPath): Errors {
  const { request, backendRequest } = timeouts ?? {};
  if (request === undefined || backendRequest === undefined || !isDuration(request)) return;
  const whole = parseDuration(request);
  if (whole === 0 || parseDuration(backendRequest) <= whole) return;
  yield invalid(path.field("timeouts", "backendRequest"), backendRequest, "must not be longer than request");
}

/** A prefix is replaced only where one is matched. Of several backends that replace it the CRD says nothing. */
function* validatePrefix({ matches, filters = [], backendRefs = [] }: HTTPRouteRule, path: FieldPath): Errors {
  const [only, ...others] = matches;
  const one = only !== undefined && others.length === 0 && only.path.type === "PathPrefix";
  const backends = backendRefs.filter((backend) => backend.filters?.some(replacesPrefix));
  if ((filters.some(replacesPrefix) || backends.length === 1) && !one)
    yield required(path.field("matches"), "one match, of a PathPrefix, where it is replaced");
}

function* validateRule(rule: HTTPRouteRule, path: FieldPath): Errors {
  const { matches, filters = [], backendRefs = [] } = rule;
  for (const [index, match] of matches.entries()) yield* validateMatch(match, path.field("matches").item(index));
  yield* validateFilters(filters, path.field("filters"));
  yield* validateBackends(backendRefs, path.field("backendRefs"));
  for (const [index, backend] of backendRefs.entries()) {
    yield* validateFilters(backend.filters, path.field("backendRefs").item(index).field("filters"));
  }
  if (backendRefs.length > 0 && filters.some(({ requestRedirect }) => requestRedirect !== undefined)) {
    yield forbidden(path.field("backendRefs"), "not together with a RequestRedirect");
  }
  yield* validatePrefix(rule, path);
  yield* validateTimeouts(rule, path);
}

/** Checks an HTTPRoute as the CRD does. */
export function* validateHTTPRoute({ spec }: HTTPRoute): Errors {
  const path = FieldPath.root.field("spec");
  yield* validateParents(spec.parentRefs, path.field("parentRefs"));
  yield* validateMatchCount(spec.rules, path.field("rules"));
  for (const [index, rule] of spec.rules.entries()) yield* validateRule(rule, path.field("rules").item(index));
}
