import { create } from "@bufbuild/protobuf";
import type { AuthorizationPolicySpec, Rule } from "#api/istio/authorization-policy.ts";
import type { Config } from "#model/rows.ts";
import {
  type Policy,
  PolicySchema,
  type RBAC,
  RBAC_Action as Action,
  RBACSchema,
} from "#proto/gen/envoy/config/rbac/v3/rbac_pb.js";
import { nothing, permissionOf } from "./permission.ts";
import { nobody, principalOf } from "./principal.ts";
import type { TrustDomains } from "./trust-domains.ts";

/** An AuthorizationPolicy as the model has it. */
export type PolicyRow = Config<AuthorizationPolicySpec>;

/** What policies are translated with. */
export interface RuleContext {
  /** Whether requests are looked at; else connections. */
  readonly http: boolean;
  readonly domains: TrustDomains;
}

/** What a filter of Envoy does by some policies: what it carries out, and what it only tells. */
export interface Rbac {
  readonly rules?: RBAC;
  readonly shadowRules?: RBAC;
}

/** Each item, or undefined where one is. */
function whole<T>(items: readonly (T | undefined)[]): T[] | undefined {
  const all = items.filter((item) => item !== undefined);
  return all.length === items.length ? all : undefined;
}

/** A rule in Envoy's form; undefined for one that allows by what connections that are not HTTP cannot tell. */
function policyOf(
  { from = [], to = [], when = [] }: Rule,
  { http, domains }: RuleContext,
  { namespace, allows }: { readonly namespace: string; readonly allows: boolean },
): Policy | undefined {
  const sources = from.length > 0 ? from.map(({ source = {} }) => source) : [{}];
  const operations = to.length > 0 ? to.map(({ operation = {} }) => operation) : [{}];
  const principals = whole(sources.map((source) => principalOf(source, when, { http, domains, namespace, allows })));
  const permissions = whole(operations.map((operation) => permissionOf(operation, when, { http, allows })));
  return principals && permissions && create(PolicySchema, { principals, permissions });
}

/** What a policy without rules comes to: it is there, and fits nothing. */
const never: Policy = create(PolicySchema, { permissions: [nothing], principals: [nobody] });

/** The name of a rule in statistics, logs and metadata, in Istio's form. */
function ruleName({ namespace, name }: PolicyRow, rule: number): string {
  return `ns[${namespace}]-policy[${name}]-rule[${rule}]`;
}

/** What a rule's name says. */
export interface RuleName {
  readonly namespace: string;
  readonly name: string;
  /** The rule's index within the policy. */
  readonly rule: number;
  /** The external authorizer that is asked by it, if one is. */
  readonly provider?: string;
}

/** Reads the name of a rule; undefined for what is none. */
export function parseRuleName(text: string): RuleName | undefined {
  const found = /^(?:istio-ext-authz-(.*)-)?ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]$/s.exec(text);
  if (!found) return undefined;
  const [, provider, namespace = "", name = "", rule] = found;
  return { namespace, name, rule: Number(rule), ...(provider !== undefined && { provider }) };
}

/**
 * Rules of policies of one action, in Envoy's form.
 * @param prefix what names of rules begin with.
 */
export function rulesOf(rows: readonly PolicyRow[], action: Action, context: RuleContext, prefix = ""): RBAC {
  const policies: Record<string, Policy> = {};
  const allows = action === Action.ALLOW;
  for (const row of rows) {
    const { rules = [] } = row.spec;
    if (rules.length === 0) policies[prefix + ruleName(row, 0)] = never;
    for (const [index, rule] of rules.entries()) {
      const policy = policyOf(rule, context, { namespace: row.namespace, allows });
      if (policy) policies[prefix + ruleName(row, index)] = policy;
    }
  }
  return create(RBACSchema, { action, policies });
}

/** Policies of one action, those that are only tried out apart. */
export function rbacOf(rows: readonly PolicyRow[], action: Action, context: RuleContext): Rbac {
  const enforced = rows.filter(({ dryRun }) => dryRun !== true);
  const tried = rows.filter(({ dryRun }) => dryRun === true);
  return {
    ...(enforced.length > 0 && { rules: rulesOf(enforced, action, context) }),
    ...(tried.length > 0 && { shadowRules: rulesOf(tried, action, context) }),
  };
}
