import { type RBAC, RBAC_Action as Action } from "#proto/gen/envoy/config/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema } from "#proto/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import { RBACSchema as HttpRbacSchema } from "#proto/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema as NetworkExtAuthzSchema } from "#proto/gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import { RBACSchema as NetworkRbacSchema } from "#proto/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { httpFilter } from "../listeners/http-filters.ts";
import { networkFilter } from "../listeners/network.ts";
import type { SecurityFilters } from "../security-filters.ts";
import { type AuthorizerReading, externalPrefix, externalStatPrefix } from "./external.ts";
import { httpAuthorizerName, httpRbacName, networkAuthorizerName, networkRbacName } from "./names.ts";
import { type PolicyRow, type Rbac, rbacOf, rulesOf } from "./rbac.ts";
import type { TrustDomains } from "./trust-domains.ts";

/** What filters of authorization are made from. */
export interface AuthorizationInput {
  readonly rows: readonly PolicyRow[];
  readonly domains: TrustDomains;
  /** The external authorizer of a name. */
  readonly authorizer: (provider: string) => AuthorizerReading;
}

type PolicyAction = NonNullable<PolicyRow["spec"]["action"]>;

/** What begins the names of Envoy's statistics of connections. */
const connectionStatPrefix = "tcp.";

/** What begins statistics and metadata of rules that are only tried out. */
function shadowPrefix(shadowRules: RBAC | undefined): string {
  if (shadowRules?.action === Action.ALLOW) return "istio_dry_run_allow_";
  return shadowRules?.action === Action.DENY ? "istio_dry_run_deny_" : "";
}

function ofAction({ rows }: AuthorizationInput, action: PolicyAction): readonly PolicyRow[] {
  return rows.filter(({ spec }) => (spec.action ?? "ALLOW") === action);
}

function rbacFilters(http: Rbac, network: Rbac): SecurityFilters {
  return {
    http: [
      httpFilter(httpRbacName, HttpRbacSchema, { ...http, shadowRulesStatPrefix: shadowPrefix(http.shadowRules) }),
    ],
    network: [
      networkFilter(networkRbacName, NetworkRbacSchema, {
        ...network,
        statPrefix: connectionStatPrefix,
        shadowRulesStatPrefix: shadowPrefix(network.shadowRules),
      }),
    ],
  };
}

/** In the order in which Envoy is to ask them: what is to be noted, what is refused, what is allowed. */
const actions: readonly (readonly [PolicyAction, Action])[] = [
  ["AUDIT", Action.LOG],
  ["DENY", Action.DENY],
  ["ALLOW", Action.ALLOW],
];

function joined(parts: readonly SecurityFilters[]): SecurityFilters {
  return { http: parts.flatMap(({ http }) => http), network: parts.flatMap(({ network }) => network) };
}

/** What proxies themselves decide: AUDIT, DENY and ALLOW. */
export function ownAuthorization(input: AuthorizationInput): SecurityFilters {
  const { domains } = input;
  return joined(
    actions.flatMap(([name, action]) => {
      const rows = ofAction(input, name);
      if (rows.length === 0) return [];
      return [
        rbacFilters(rbacOf(rows, action, { http: true, domains }), rbacOf(rows, action, { http: false, domains })),
      ];
    }),
  );
}

/** Refuses what nobody can be asked about. */
function refusals(http: RBAC, network: RBAC): SecurityFilters {
  return rbacFilters({ rules: http }, { rules: network });
}

/** Finds what is to be asked about, and asks. */
function questions(http: RBAC, network: RBAC, reading: AuthorizerReading): SecurityFilters {
  if ("problem" in reading) return refusals(http, network);
  const { authorizer } = reading;
  const found = { shadowRulesStatPrefix: externalStatPrefix };
  return {
    http: [
      httpFilter(httpRbacName, HttpRbacSchema, { ...found, shadowRules: http }),
      httpFilter(httpAuthorizerName, ExtAuthzSchema, authorizer.http),
    ],
    network: authorizer.network
      ? [
          networkFilter(networkRbacName, NetworkRbacSchema, {
            ...found,
            shadowRules: network,
            statPrefix: connectionStatPrefix,
          }),
          networkFilter(networkAuthorizerName, NetworkExtAuthzSchema, authorizer.network),
        ]
      : [],
  };
}

/**
 * What external authorizers decide: CUSTOM. A proxy asks one of them; where policies name several, or one that cannot be
 * asked, what they are about is refused.
 */
export function externalAuthorization(input: AuthorizationInput): SecurityFilters {
  const { domains, authorizer } = input;
  const rows = ofAction(input, "CUSTOM");
  const groups = Map.groupBy(rows, ({ spec }) => spec.provider?.name ?? "");
  const parts = [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return joined(
    parts.map(([provider, all]) => {
      const prefix = `${externalPrefix}-${provider}-`;
      const http = rulesOf(all, Action.DENY, { http: true, domains }, prefix);
      const network = rulesOf(all, Action.DENY, { http: false, domains }, prefix);
      return parts.length > 1 ? refusals(http, network) : questions(http, network, authorizer(provider));
    }),
  );
}
