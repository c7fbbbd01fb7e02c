import type { FieldError, Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { fieldColumn } from "../columns.ts";
import { FieldPath, invalid, required } from "../field.ts";
import { choice, definition, list, object, string, type Value } from "../schema.ts";
import { grpcFilters } from "./filters.ts";
import { validateFilters } from "./filter-validation.ts";
import { backendReference, gatewayName, headerName, weight } from "./names.ts";
import { hostnames, parentRefs, routeKind, ruleName } from "./route.ts";
import { validateBackends, validateDistinct, validateMatchCount, validateParents } from "./route-validation.ts";

const matchType = choice("How the value is matched.", ["Exact", "RegularExpression"], { default: "Exact" });

const GRPCRouteMatch = object(
  "What calls must be; all of what is set must hold.",
  {},
  {
    method: object(
      "What is called.",
      { type: matchType },
      {
        service: string("The service, with its package: bookshop.v1.Ratings.", { maxLength: 1024 }),
        method: string("The method.", { maxLength: 1024 }),
      },
    ),
    headers: list(
      "Headers, all of them.",
      object(
        "A header with its value.",
        { name: headerName, value: string("The value.", { minLength: 1, maxLength: 4096 }), type: matchType },
        {},
      ),
      { maxItems: 16 },
    ),
  },
);
type GRPCRouteMatch = Value<typeof GRPCRouteMatch>;

export const GRPCRouteSpec = definition(
  gatewayName("GRPCRouteSpec"),
  object(
    "The parents, the hosts, and what becomes of calls.",
    {},
    {
      parentRefs,
      hostnames,
      rules: list(
        "What becomes of calls; the most specific match counts.",
        object(
          "Which calls, and what becomes of them.",
          {},
          {
            name: ruleName,
            matches: list("What calls must be, one of these. All unless set.", GRPCRouteMatch, { maxItems: 64 }),
            filters: grpcFilters,
            backendRefs: list(
              "Where calls go. They fail where there is no backend.",
              object(
                "A backend with its share.",
                { ...backendReference.required, weight },
                { ...backendReference.optional, filters: grpcFilters },
              ),
              { maxItems: 16 },
            ),
          },
        ),
        { maxItems: 16 },
      ),
    },
  ),
);
export type GRPCRouteSpec = Value<typeof GRPCRouteSpec>;

/** Gateway API's `v1.GRPCRoute`. */
export type GRPCRoute = Resource<{ readonly spec: GRPCRouteSpec }>;

const serviceName = /^\.?[a-z_][a-z_0-9]*(?:\.[a-z_][a-z_0-9]*)*$/i;
const methodName = /^[a-z_][a-z_0-9]*$/i;

function* validateMatch({ method: called, headers }: GRPCRouteMatch, path: FieldPath): Generator<FieldError> {
  yield* validateDistinct(headers, path.field("headers"));
  if (called === undefined) return;
  const at = path.field("method");
  const { type, service, method } = called;
  if (service === undefined && method === undefined) yield required(at, "service or method");
  if (type !== "Exact") return;
  if (service !== undefined && !serviceName.test(service)) {
    yield invalid(at.field("service"), service, "must be the name of a service, such as bookshop.v1.Ratings");
  }
  if (method !== undefined && !methodName.test(method)) {
    yield invalid(at.field("method"), method, "must be the name of a method");
  }
}

/** Checks a GRPCRoute as the CRD does. */
function* validate({ spec }: GRPCRoute): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  const rules = spec.rules ?? [];
  yield* validateParents(spec.parentRefs, path.field("parentRefs"));
  yield* validateMatchCount(rules, path.field("rules"));
  for (const [index, { matches = [], filters, backendRefs = [] }] of rules.entries()) {
    const at = path.field("rules").item(index);
    for (const [place, match] of matches.entries()) yield* validateMatch(match, at.field("matches").item(place));
    yield* validateFilters(filters, at.field("filters"));
    yield* validateBackends(backendRefs, at.field("backendRefs"));
    for (const [place, backend] of backendRefs.entries()) {
      yield* validateFilters(backend.filters, at.field("backendRefs").item(place).field("filters"));
    }
  }
}

export const grpcRoute: Kind = routeKind(
  {
    versions: [{ name: "v1" }],
    kind: "GRPCRoute",
    description: "Where calls of gRPC go, and what becomes of them on their way.",
    columns: [fieldColumn("Hostnames", ["spec", "hostnames"], "Hosts of the calls.")],
    validate: (object) => validate(object as GRPCRoute),
  },
  GRPCRouteSpec,
);
