import { kinds } from "#api/kinds.ts";
import { memberGroups } from "#api/member-api.ts";

/** A definition for each of Istio's kinds, as Istio's own but for the schemas. */
export function istioDefinitions(): readonly object[] {
  const groups: ReadonlySet<string> = new Set(memberGroups);
  const openAPIV3Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  return kinds
    .filter(({ group }) => groups.has(group))
    .map(({ group, kind, plural, singular, versions }) => ({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: `${plural}.${group}`, labels: { chart: "istio" } },
      spec: {
        group,
        scope: "Namespaced",
        names: { kind, plural, singular, listKind: `${kind}List` },
        versions: versions.map(({ name }, at) => ({
          name,
          served: true,
          storage: at === 0,
          schema: { openAPIV3Schema },
          subresources: { status: {} },
        })),
      },
    }));
}
