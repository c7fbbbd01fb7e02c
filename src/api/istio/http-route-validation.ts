import { type FieldPath, forbidden, invalid, required } from "../field.ts";
import { validateDestination, validateDestinations } from "./destination-validation.ts";
import { validateAuthority, validateHeaders } from "./headers-validation.ts";
import {
  validateCors,
  validateDirectResponse,
  validateFault,
  validatePercent,
  validateRedirect,
  validateRetries,
  validateRewrite,
} from "./http-action-validation.ts";
import { validateHttpMatch } from "./http-match-validation.ts";
import type { HTTPRoute } from "./http-route.ts";
import type { Errors } from "./names.ts";

/** Fields that do not go together with the answer that a route gives itself. */
const exclusive = ["fault", "rewrite", "directResponse"] as const;

/** Checks that what a route does is one thing. */
function* validateConflicts(route: HTTPRoute, delegated: boolean, path: FieldPath): Errors {
  const { redirect, directResponse, delegate, route: destinations, mirror, mirrors } = route;
  if (delegate !== undefined && !delegated) {
    if (redirect !== undefined)
      yield forbidden(path.field("redirect"), "the route delegates to another VirtualService");
    if (destinations !== undefined)
      yield forbidden(path.field("route"), "the route delegates to another VirtualService");
    return;
  }
  if (delegate !== undefined) yield forbidden(path.field("delegate"), "what is delegated to cannot delegate on");
  const own = redirect === undefined ? directResponse && "directResponse" : "redirect";
  if (own !== undefined) {
    if (destinations?.length) yield forbidden(path.field("route"), `only one of ${own}, route may be set`);
    for (const name of exclusive) {
      if (name !== own && route[name] !== undefined) {
        yield forbidden(path.field(name), `only one of ${own}, ${name} may be set`);
      }
    }
  } else if (!destinations?.length) yield required(path.field("route"), "route, redirect or directResponse");
  if (mirror !== undefined && mirrors?.length) {
    yield forbidden(path.field("mirrors"), "only one of mirror, mirrors may be set");
  }
}

function* validateMirrors(route: HTTPRoute, path: FieldPath): Errors {
  for (const name of ["mirrorPercent", "mirror_percent"] as const) {
    const percent = route[name] ?? 0;
    if (percent > 100) yield invalid(path.field(name), percent, "must be between 0 and 100");
  }
  yield* validatePercent(route.mirrorPercentage, path.field("mirrorPercentage"));
  if (route.mirror !== undefined) yield* validateDestination(route.mirror, path.field("mirror"));
  for (const [index, { destination, percentage }] of (route.mirrors ?? []).entries()) {
    const at = path.field("mirrors").item(index);
    yield* validateDestination(destination, at.field("destination"));
    yield* validatePercent(percentage, at.field("percentage"));
  }
}

/**
 * Checks a rule for HTTP requests, as Istio's webhook does.
 * @param delegated the rule's VirtualService has no hosts: another delegates to it.
 */
export function* validateHttpRoute(route: HTTPRoute, delegated: boolean, path: FieldPath): Errors {
  yield* validateConflicts(route, delegated, path);
  for (const [index, match] of (route.match ?? []).entries()) {
    yield* validateHttpMatch(match, path.field("match").item(index));
  }
  yield* validateHeaders(route.headers, path.field("headers"));
  yield* validateAuthority(route.rewrite?.authority, route.headers, path.field("headers", "request"));
  for (const [index, { headers }] of (route.route ?? []).entries()) {
    yield* validateHeaders(headers, path.field("route").item(index).field("headers"));
  }
  yield* validateDestinations(route.route ?? [], path.field("route"));
  yield* validateMirrors(route, path);
  if (route.corsPolicy !== undefined) yield* validateCors(route.corsPolicy, path.field("corsPolicy"));
  if (route.fault !== undefined) yield* validateFault(route.fault, path.field("fault"));
  if (route.redirect !== undefined) yield* validateRedirect(route.redirect, route.match ?? [], path.field("redirect"));
  if (route.directResponse !== undefined) {
    yield* validateDirectResponse(route.directResponse, path.field("directResponse"));
  }
  if (route.retries !== undefined) yield* validateRetries(route.retries, path.field("retries"));
  if (route.rewrite !== undefined) yield* validateRewrite(route.rewrite, path.field("rewrite"));
}
