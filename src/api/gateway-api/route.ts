import type { TObject } from "typebox";
import type { FieldError, Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { FieldPath } from "../field.ts";
import { definition, list, object, type Value } from "../schema.ts";
import { gatewayApiKind } from "./kind.ts";
import { backendReference, gatewayName, hostname, ParentReference, sectionName, weight } from "./names.ts";
import { RouteStatus } from "./policy-status.ts";
import { validateBackends, validateParents, validateServerNames } from "./route-validation.ts";

/** What every route has: its parents. */
export const parentRefs = list("What the route is attached to.", ParentReference, { maxItems: 32 });

/** Hosts of a route of HTTP. */
export const hostnames = list("Hosts of the requests. All that the parents serve unless set.", hostname("A host."), {
  maxItems: 16,
});

/** The name of a rule of a route. */
export const ruleName = sectionName("The rule's name, of its own in the route.");

const BackendRef = definition(
  gatewayName("BackendRef"),
  object("A backend with its share.", { ...backendReference.required, weight }, backendReference.optional),
);
export type BackendRef = Value<typeof BackendRef>;

const rules = list(
  "Where connections go.",
  object(
    "Where connections go.",
    { backendRefs: list("The backends, each with its share.", BackendRef, { minItems: 1, maxItems: 16 }) },
    { name: ruleName },
  ),
  { minItems: 1, maxItems: 1 },
);

/** The specification of routes of connections: TCP and UDP. */
const ConnectionRouteSpec = definition(
  gatewayName("TCPRouteSpec"),
  object("The parents, and where their connections go.", { rules }, { parentRefs }),
);

export const TLSRouteSpec = definition(
  gatewayName("TLSRouteSpec"),
  object(
    "The parents, the servers that clients ask for, and where their connections go.",
    {
      hostnames: list("Servers' names (SNI) that clients ask for.", hostname("A server's name."), {
        minItems: 1,
        maxItems: 1024,
      }),
      rules,
    },
    { parentRefs },
  ),
);
export type TLSRouteSpec = Value<typeof TLSRouteSpec>;

/** Gateway API's `v1.TLSRoute`. */
export type TLSRoute = Resource<{ readonly spec: TLSRouteSpec }>;
/** Gateway API's `v1.TCPRoute` and `v1.UDPRoute`. */
export type ConnectionRoute = Resource<{ readonly spec: Value<typeof ConnectionRouteSpec> }>;

/** Checks a route of connections as the CRDs do. */
function* validateConnectionRoute({ spec }: ConnectionRoute): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  yield* validateParents(spec.parentRefs, path.field("parentRefs"));
  for (const [index, { backendRefs }] of spec.rules.entries()) {
    yield* validateBackends(backendRefs, path.field("rules").item(index).field("backendRefs"));
  }
}

function* validateTLSRoute(route: TLSRoute): Generator<FieldError> {
  yield* validateConnectionRoute(route);
  yield* validateServerNames(route.spec.hostnames, FieldPath.root.field("spec", "hostnames"));
}

/** A kind of routes. */
export function routeKind(
  parts: Pick<Parameters<typeof gatewayApiKind>[0], "versions" | "kind" | "description" | "columns" | "validate">,
  spec: TObject,
): Kind {
  return gatewayApiKind({
    ...parts,
    plural: `${parts.kind.toLowerCase()}s`,
    shortNames: [],
    schema: object(parts.description, { spec }, { status: RouteStatus }),
  });
}

/** Versions before v1, of the release's experimental channel only: most manifests still name them. */
const v1alpha2 = { name: "v1alpha2", deprecated: true } as const;
const v1alpha3 = { name: "v1alpha3", deprecated: true } as const;

export const tcpRoute: Kind = routeKind(
  {
    versions: [{ name: "v1" }, v1alpha2],
    kind: "TCPRoute",
    description: "Where connections of TCP go.",
    validate: (object) => validateConnectionRoute(object as ConnectionRoute),
  },
  ConnectionRouteSpec,
);

export const udpRoute: Kind = routeKind(
  {
    versions: [{ name: "v1" }, v1alpha2],
    kind: "UDPRoute",
    description: "Where datagrams of UDP go.",
    validate: (object) => validateConnectionRoute(object as ConnectionRoute),
  },
  ConnectionRouteSpec,
);

export const tlsRoute: Kind = routeKind(
  {
    versions: [{ name: "v1" }, v1alpha3, v1alpha2],
    kind: "TLSRoute",
    description: "Where connections of TLS go, by the server that the client asks for.",
    validate: (object) => validateTLSRoute(object as TLSRoute),
  },
  TLSRouteSpec,
);
