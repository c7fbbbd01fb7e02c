import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { fieldColumn } from "../columns.ts";
import { choice, definition, list, object, string, type Value } from "../schema.ts";
import { httpFilters } from "./filters.ts";
import { validateHTTPRoute } from "./http-route-validation.ts";
import { backendReference, gatewayName, headerName, weight } from "./names.ts";
import { hostnames, parentRefs, routeKind, ruleName } from "./route.ts";

const matchType = choice("How the value is matched.", ["Exact", "RegularExpression"], { default: "Exact" });

const matched = (description: string, maxLength: number) =>
  list(
    description,
    object(
      "A name with its value.",
      { name: headerName, value: string("The value.", { minLength: 1, maxLength }), type: matchType },
      {},
    ),
    { maxItems: 16 },
  );

export const HTTPRouteMatch = object(
  "What requests must be; all of what is set must hold.",
  {
    path: object(
      "The path.",
      {
        type: choice("How the path is matched.", ["Exact", "PathPrefix", "RegularExpression"], {
          default: "PathPrefix",
        }),
        value: string("The path, its beginning, or an expression.", { default: "/", maxLength: 1024 }),
      },
      {},
      { default: { type: "PathPrefix", value: "/" } },
    ),
  },
  {
    headers: matched("Headers, all of them.", 4096),
    queryParams: matched("Query parameters, all of them.", 1024),
    method: choice("The method.", ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]),
  },
);
export type HTTPRouteMatch = Value<typeof HTTPRouteMatch>;

const duration = (description: string) => string(description, { format: "gateway-duration" });

const anyPath = [{ path: { type: "PathPrefix", value: "/" } }];

export const HTTPRouteRule = object(
  "Which requests, and what becomes of them.",
  {
    matches: list("What requests must be, one of these.", HTTPRouteMatch, { default: anyPath, maxItems: 64 }),
  },
  {
    name: ruleName,
    filters: httpFilters,
    backendRefs: list(
      "Where requests go. They are answered with 500 where there is no backend.",
      object(
        "A backend with its share.",
        { ...backendReference.required, weight },
        { ...backendReference.optional, filters: httpFilters },
      ),
      { maxItems: 16 },
    ),
    timeouts: object(
      "How long requests may take.",
      {},
      {
        request: duration("How long the client waits in all; 0s for ever."),
        backendRequest: duration("How long one try of a backend may take; 0s for ever."),
      },
    ),
  },
);
export type HTTPRouteRule = Value<typeof HTTPRouteRule>;

export const HTTPRouteSpec = definition(
  gatewayName("HTTPRouteSpec"),
  object(
    "The parents, the hosts, and what becomes of requests.",
    {
      rules: list("What becomes of requests; the most specific match counts.", HTTPRouteRule, {
        default: [{ matches: anyPath }],
        minItems: 1,
        maxItems: 16,
      }),
    },
    { parentRefs, hostnames },
  ),
);
export type HTTPRouteSpec = Value<typeof HTTPRouteSpec>;

/** Gateway API's `v1.HTTPRoute`. */
export type HTTPRoute = Resource<{ readonly spec: HTTPRouteSpec }>;

export const httpRoute: Kind = routeKind(
  {
    versions: [{ name: "v1" }, { name: "v1beta1" }],
    kind: "HTTPRoute",
    description: "Where requests of HTTP go, and what becomes of them on their way.",
    columns: [fieldColumn("Hostnames", ["spec", "hostnames"], "Hosts of the requests.")],
    validate: (object) => validateHTTPRoute(object as HTTPRoute),
  },
  HTTPRouteSpec,
);
