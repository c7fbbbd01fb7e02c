import type { AuthorizationPolicySpec } from "#api/istio/authorization-policy.ts";
import { only } from "#model/services.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects, Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** Whether a pattern means some namespace: a name, or one with a `*` at either end. */
function isSome(pattern: string, namespaces: readonly string[]): boolean {
  if (pattern === "*") return true;
  if (pattern.startsWith("*")) return namespaces.some((each) => each.endsWith(pattern.slice(1)));
  if (pattern.endsWith("*")) return namespaces.some((each) => each.startsWith(pattern.slice(0, -1)));
  return namespaces.some((each) => each.toLowerCase() === pattern.toLowerCase());
}

function* unknownNamespaces(
  { ref, spec }: Subject<AuthorizationPolicySpec>,
  namespaces: readonly string[],
): Generator<Problem> {
  for (const [rule, { from = [] }] of (spec.rules ?? []).entries()) {
    for (const [source, { source: of }] of from.entries()) {
      for (const list of ["namespaces", "notNamespaces"] as const) {
        for (const [index, pattern] of (of?.[list] ?? []).entries()) {
          if (isSome(pattern, namespaces)) continue;
          const field = `spec.rules[${rule}].from[${source}].source.${list}[${index}]`;
          const message = `There is no namespace ${pattern}.`;
          yield problemOf(ref, { code: "ReferencedResourceNotFound", severity: "error", field, message });
        }
      }
    }
  }
}

function* problems(objects: MeshObjects): Generator<Problem> {
  // Files seldom hold every namespace.
  if (!objects.live) return;
  const namespaces = [...new Set(objects.all("Namespace").map(({ name }) => name))];
  const root = objects.mesh.model.services.mesh.get(only).rootNamespace;
  for (const policy of objects.all<AuthorizationPolicySpec>("AuthorizationPolicy")) {
    yield* unknownNamespaces(policy, namespaces);
    const isForAll = Object.keys(policy.spec.selector?.matchLabels ?? {}).length === 0;
    const isTargeted = (policy.spec.targetRefs ?? []).length > 0 || policy.spec.targetRef !== undefined;
    if (!isForAll || isTargeted || policy.namespace === root || objects.pods({}, policy.namespace).length > 0) continue;
    const message = `Namespace ${policy.namespace} has no workloads.`;
    yield problemOf(policy.ref, { code: "NoMatchingWorkloadsFound", field: "metadata.namespace", message });
  }
}

/** AuthorizationPolicies that mean what is not there. */
export const authorizationAnalyzer: Analyzer = {
  name: "auth.AuthorizationPoliciesAnalyzer",
  description: "Checks that AuthorizationPolicies have workloads, and name namespaces that exist",
  problems,
};
