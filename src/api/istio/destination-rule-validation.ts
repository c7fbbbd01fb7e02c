import { duplicate, FieldPath, invalid } from "../field.ts";
import { validateSubsetName } from "./destination-validation.ts";
import type { DestinationRule } from "./destination-rule.ts";
import { type Errors, validateExportTo, validateSelector, validateTags, wildcardDomainProblem } from "./names.ts";
import { validateTrafficPolicy } from "./traffic-policy-validation.ts";

/** Checks a DestinationRule as Istio's webhook does. */
export function* validateDestinationRule({ metadata, spec }: DestinationRule): Errors {
  const path = FieldPath.root.field("spec");
  const { namespace } = metadata;
  const problem = wildcardDomainProblem(spec.host);
  if (problem !== undefined) yield invalid(path.field("host"), spec.host, problem);
  yield* validateTrafficPolicy(spec.trafficPolicy, namespace, path.field("trafficPolicy"));
  const names = new Set<string>();
  for (const [index, { name, labels, trafficPolicy }] of (spec.subsets ?? []).entries()) {
    const at = path.field("subsets").item(index);
    if (names.has(name)) yield duplicate(at.field("name"), name);
    names.add(name);
    yield* validateSubsetName(name, at.field("name"));
    yield* validateTags(labels, at.field("labels"));
    yield* validateTrafficPolicy(trafficPolicy, namespace, at.field("trafficPolicy"));
  }
  yield* validateExportTo(spec.exportTo, namespace, path.field("exportTo"), {
    ownOnly: spec.workloadSelector !== undefined,
  });
  yield* validateSelector(spec.workloadSelector?.matchLabels, path.field("workloadSelector", "matchLabels"));
}
