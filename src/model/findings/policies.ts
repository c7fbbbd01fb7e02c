import type { PolicyTargetReference } from "#api/istio/policy.ts";
import type { RequestAuthenticationSpec } from "#api/istio/request-authentication.ts";
import { usableKeys } from "../key-set.ts";
import { jwksKey, jwksPlace } from "../jwks.ts";
import { referencedServices, type Targeted } from "../policies.ts";
import type { Config } from "../rows.ts";
import type { Tables } from "../tables.ts";
import { gatewayName } from "../targets.ts";
import type { Problem } from "./finding.ts";
import { someWorkload } from "./workloads.ts";

/** What is asked to judge policies of security. */
interface PolicyContext {
  readonly tables: Tables;
}

/** Whether workloads can be behind a ServiceEntry: proxies of others carry no policy out. */
function hasWorkloads({ tables }: PolicyContext, namespace: string, name: string): boolean {
  const labels = tables.serviceEntries.rows.get(`${namespace}/${name}`)?.spec.workloadSelector?.labels ?? {};
  return Object.keys(labels).length > 0;
}

function targetProblem(
  { group = "", kind, name }: PolicyTargetReference,
  field: string,
  { namespace }: Config<Targeted>,
  context: PolicyContext,
): readonly Problem[] {
  if (group === "gateway.networking.k8s.io" && kind === "Gateway") {
    if (someWorkload(context, namespace, { [gatewayName]: name })) return [];
    const message = `No Pod of namespace ${namespace} has the label ${gatewayName}: ${name}, by which proxies of Gateway ${name} are known: nothing carries the policy out.`;
    return [{ code: "NoWorkload", severity: "warning", field, message }];
  }
  if (group === "gateway.networking.k8s.io") {
    const message = `Policies for a ${kind} are for waypoints, of which Weft has none: this one is for no proxy. Name a Gateway, or select workloads.`;
    return [{ code: "NotImplemented", severity: "warning", field, message }];
  }
  if (referencedServices(context.tables, namespace, { group, kind, name }) === undefined) {
    const message = `There is no ${kind} ${name} in namespace ${namespace}; the policy is for no workload of it.`;
    return [{ code: "ReferencedResourceNotFound", severity: "error", field, message }];
  }
  if (kind !== "ServiceEntry" || hasWorkloads(context, namespace, name)) return [];
  const message = `ServiceEntry ${name} selects no workloads, so that no proxy stands before what it is about: nothing carries the policy out.`;
  return [{ code: "NoWorkload", severity: "warning", field, message }];
}

/** What a policy says that it is for, and is not. */
export function policyProblems(row: Config<Targeted>, context: PolicyContext): readonly Problem[] {
  const { targetRef, targetRefs = [] } = row.spec;
  const refs =
    targetRefs.length === 0 && targetRef
      ? [["spec.targetRef", targetRef] as const]
      : targetRefs.map((each, index) => [`spec.targetRefs[${index}]`, each] as const);
  return refs.flatMap(([field, each]) => targetProblem(each, field, row, context));
}

/** That keys of tokens could not be fetched. */
export function requestAuthenticationProblems(
  { spec: { jwtRules = [] } }: Config<RequestAuthenticationSpec>,
  { tables }: PolicyContext,
): readonly Problem[] {
  return jwtRules.flatMap((rule, index): readonly Problem[] => {
    const place = jwksPlace(rule);
    if (!place && usableKeys(rule.jwks ?? "") === undefined) {
      const message = "None of these keys can verify a token in Envoy, so that tokens of this issuer are refused.";
      return [{ code: "UnusableKeys", severity: "error", field: `spec.jwtRules[${index}].jwks`, message }];
    }
    const known = place && tables.jwks.get(jwksKey(place));
    if (known?.problem === undefined) return [];
    const effect =
      known.keys === undefined
        ? "tokens that need them are refused"
        : `those that were fetched before go on${known.until === undefined ? "" : ` until ${known.until}`}`;
    const message = `The issuer's keys cannot be fetched, and ${effect}: ${known.problem}.`;
    const field = `spec.jwtRules[${index}].${place?.uri === "" ? "issuer" : "jwksUri"}`;
    return [{ code: "KeysUnavailable", severity: known.keys === undefined ? "error" : "warning", field, message }];
  });
}
