import type { HTTPRetry, HTTPRoute } from "#api/istio/http-route.ts";
import { hostMatches, isWildcard, compareHosts } from "#model/hosts.ts";

/** The name that sidecars go by in a rule's list of gateways. */
export const meshGateway = "mesh";

/** A VirtualService as routing reads it: names resolved to full ones, delegates merged in. */
export interface RoutingRule {
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339: of two rules for one host the older one wins. */
  readonly created: string;
  /** Full host names in lower case; may begin with a wildcard. */
  readonly hosts: readonly string[];
  /** `mesh`, or `namespace/name` of gateways. */
  readonly gateways: readonly string[];
  /** Namespaces that see the rule; `*` for all, `~` for none. */
  readonly exportTo: readonly string[];
  readonly http: readonly HTTPRoute[];
}

/** What the mesh's configuration says of all routes. */
export interface RouteDefaults {
  /** Istio's `defaultHttpRetryPolicy`; Istio's own default where undefined. */
  readonly retries?: HTTPRetry;
}

/** Names a rule among all. */
export function ruleKey(rule: Pick<RoutingRule, "namespace" | "name">): string {
  return `${rule.namespace}/${rule.name}`;
}

/** Whether callers in a namespace see the rule. */
export function isVisible(rule: Pick<RoutingRule, "exportTo">, namespace: string): boolean {
  return rule.exportTo.includes("*") || rule.exportTo.includes(namespace);
}

/** Rules seen only by their own namespace come first, then those for some namespaces, then those for all. */
function breadth(rule: RoutingRule): number {
  if (rule.exportTo.includes("*")) return 2;
  return rule.exportTo.length === 1 && rule.exportTo[0] === rule.namespace ? 0 : 1;
}

/** The order of precedence of rules that a namespace sees: by how few see them, then by age, then by name. Istio's. */
export function compareRules(a: RoutingRule, b: RoutingRule): number {
  if (breadth(a) !== breadth(b)) return breadth(a) - breadth(b);
  const age = Date.parse(a.created) - Date.parse(b.created);
  if (age !== 0 && !Number.isNaN(age)) return age;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.namespace < b.namespace ? -1 : Number(a.namespace > b.namespace);
}

/** Rules by the hosts they name, in their order. */
export class RulesByHost {
  readonly #named = new Map<string, RoutingRule[]>();
  /** From the narrowest. */
  readonly #wildcards: readonly string[];

  /** @param rules in the order of precedence. */
  constructor(rules: readonly RoutingRule[]) {
    for (const rule of rules) for (const host of new Set(rule.hosts)) this.#add(host, rule);
    this.#wildcards = [...this.#named.keys()].filter(isWildcard).toSorted(compareHosts);
  }

  /**
   * The rules that may serve a service, the first of which applies: all that name it in full; only if there is none, the
   * first with the narrowest wildcard.
   */
  for(host: string): readonly RoutingRule[] {
    const named = this.#named.get(host);
    if (named) return named;
    const pattern = this.#wildcards.find((wildcard) => hostMatches(wildcard, host));
    return pattern === undefined ? [] : (this.#named.get(pattern) ?? []).slice(0, 1);
  }

  #add(host: string, rule: RoutingRule): void {
    const rules = this.#named.get(host);
    if (rules) rules.push(rule);
    else this.#named.set(host, [rule]);
  }
}
