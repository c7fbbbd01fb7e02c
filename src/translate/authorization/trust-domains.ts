import { defaultTrustDomain } from "#model/mesh.ts";

/** The mesh's trust domain, and after it the others that count as it. */
export type TrustDomains = readonly string[];

/** Whether a text ends in what follows a wildcard at a pattern's beginning. */
function endsAs(text: string, pattern: string): boolean {
  return pattern.startsWith("*") && text.endsWith(pattern.slice(1));
}

function beginsAs(text: string, pattern: string): boolean {
  return pattern.endsWith("*") && text.startsWith(pattern.slice(0, -1));
}

function fits(a: string, b: string): boolean {
  return a === b || beginsAs(a, b) || beginsAs(b, a) || endsAs(a, b) || endsAs(b, a);
}

function withAliases(principal: string, domains: TrustDomains): readonly string[] {
  const [domain = "", ...rest] = principal.split("/");
  // Without the form of an identity, or with any trust domain, there is nothing to replace.
  if (rest.length !== 4 || domain === "*") return [principal];
  if (domain !== defaultTrustDomain && !domains.some((each) => fits(domain, each))) return [principal];
  return domains.map((each) => (endsAs(each, domain) ? principal : [each, ...rest].join("/")));
}

/**
 * Principals, of which each that names the mesh's trust domain, one of its aliases or `cluster.local` stands for that
 * identity in all of the mesh's trust domains. Istio's "Trust Domain Migration".
 */
export function principalsInDomains(principals: readonly string[], domains: TrustDomains): readonly string[] {
  return [...new Set(principals.flatMap((principal) => withAliases(principal, domains)))];
}

/** Trust domains, of which each that is the mesh's or one of its aliases stands for all of these. */
export function expandedDomains(values: readonly string[], domains: TrustDomains): readonly string[] {
  return [...new Set(values.flatMap((value) => (domains.includes(value) ? domains : [value])))];
}
