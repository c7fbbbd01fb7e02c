import type { Finding } from "#api/finding.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { RuleQueries } from "../destinationrules.ts";
import type { CredentialQueries } from "../credentials/queries.ts";
import type { EndpointQueries } from "../endpoints.ts";
import type { GatewayQueries } from "../gateways.ts";
import type { HeldQueries } from "../held.ts";
import type { Config } from "../rows.ts";
import type { ServiceQueries } from "../services.ts";
import type { Tables } from "../tables.ts";
import type { VirtualServiceQueries } from "../virtualservices.ts";
import { gatewayCredentialProblems, ruleCredentialProblems } from "./credentials.ts";
import { destinationRuleProblems } from "./destinationrule.ts";
import { egressScopeProblems } from "./egressscope.ts";
import { findingsOf, type Problem } from "./finding.ts";
import { peerAuthenticationProblems } from "./peer-authentication.ts";
import { policyProblems, requestAuthenticationProblems } from "./policies.ts";
import { virtualServiceProblems } from "./virtualservice.ts";
import { gatewayProblems, serviceEntryProblems, sidecarProblems } from "./workloads.ts";

/** Names an Istio object. */
export interface ObjectId {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** What is asked to judge objects. */
export interface FindingContext {
  readonly tables: Tables;
  readonly services: ServiceQueries;
  readonly endpoints: EndpointQueries;
  readonly rules: RuleQueries;
  readonly gateways: GatewayQueries;
  readonly virtualServices: VirtualServiceQueries;
  readonly credentials: CredentialQueries;
  readonly held: HeldQueries;
}

/** What an object refers to in vain, or in conflict with others; empty for other kinds and unknown objects. */
export type FindingQuery = Query<ObjectId, readonly Finding[]>;

function judged<Spec>(
  row: Config<Spec> | undefined,
  judge: (row: Config<Spec>) => readonly Problem[],
): readonly Finding[] {
  return row ? findingsOf(row, judge(row)) : [];
}

/** Declares the query about findings. */
export function findingQuery(engine: Engine, context: FindingContext): FindingQuery {
  const { tables } = context;
  return engine.query({
    name: "findings",
    key: ({ kind, namespace, name }) => `${kind}/${namespace}/${name}`,
    compute: ({ kind, namespace, name }): readonly Finding[] => {
      const key = `${namespace}/${name}`;
      switch (kind) {
        case "VirtualService":
          return judged(tables.virtualServices.rows.get(key), (row) => virtualServiceProblems(row, context));
        case "DestinationRule":
          return judged(tables.destinationRules.rows.get(key), (row) => [
            ...destinationRuleProblems(row, context),
            ...ruleCredentialProblems(row, context),
          ]);
        case "Gateway":
          return judged(tables.gateways.rows.get(key), (row) => [
            ...gatewayProblems(row, context),
            ...gatewayCredentialProblems(row, context),
          ]);
        case "PeerAuthentication":
          return judged(tables.peerAuthentications.rows.get(key), (row) => peerAuthenticationProblems(row, context));
        case "Sidecar":
          return judged(tables.sidecars.rows.get(key), (row) => sidecarProblems(row, context));
        case "EgressScope":
          return judged(tables.egressScopes.rows.get(key), ({ spec }) =>
            egressScopeProblems(spec, context.held.unknown.get(key)),
          );
        case "ServiceEntry":
          return judged(tables.serviceEntries.rows.get(key), (row) => serviceEntryProblems(row, context));
        case "AuthorizationPolicy":
          return judged(tables.authorizationPolicies.rows.get(key), (row) => policyProblems(row, context));
        case "RequestAuthentication":
          return judged(tables.requestAuthentications.rows.get(key), (row) => [
            ...policyProblems(row, context),
            ...requestAuthenticationProblems(row, context),
          ]);
        default:
          return [];
      }
    },
  });
}
