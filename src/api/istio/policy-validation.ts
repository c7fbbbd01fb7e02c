import { type FieldPath, forbidden, notSupported } from "../field.ts";
import { type Errors, validateSelector } from "./names.ts";
import type { PolicySelector, PolicyTargetReference } from "./policy.ts";
import { selectorWarnings, type Warnings } from "./warnings.ts";

/** What an object says it is for. */
interface PolicyTargets {
  readonly selector?: PolicySelector;
  readonly targetRef?: PolicyTargetReference;
  readonly targetRefs?: readonly PolicyTargetReference[];
}

/** What can be a target, as `group/kind`. */
const targetKinds = [
  "/Service",
  "networking.istio.io/ServiceEntry",
  "gateway.networking.k8s.io/Gateway",
  "gateway.networking.k8s.io/GatewayClass",
];

/** A target is in the object's own namespace. */
export function* validateTargetNamespace({ namespace }: PolicyTargetReference, path: FieldPath): Errors {
  if (namespace) yield forbidden(path.field("namespace"), "only objects of the same namespace can be meant");
}

function* validateTarget(target: PolicyTargetReference, path: FieldPath): Errors {
  yield* validateTargetNamespace(target, path);
  const group = target.group === "core" ? "" : (target.group ?? "");
  const kind = `${group}/${target.kind}`;
  if (!targetKinds.includes(kind)) yield notSupported(path, kind, targetKinds);
}

/** Of several ways to say what an object is for, one may be used. */
export function* validateOneTarget(spec: object, names: readonly string[], path: FieldPath): Errors {
  const [first, ...others] = names.filter((name) => name in spec);
  for (const name of others)
    yield forbidden(path.field(name), `only one of ${names.join(", ")} may be set, and ${first} is`);
}

/** Checks what an object says it is for. */
export function* validateTargets(spec: PolicyTargets, path: FieldPath): Errors {
  yield* validateOneTarget(spec, ["selector", "targetRef", "targetRefs"], path);
  yield* validateSelector(spec.selector?.matchLabels, path.field("selector", "matchLabels"));
  if (spec.targetRef !== undefined) yield* validateTarget(spec.targetRef, path.field("targetRef"));
  for (const [index, target] of (spec.targetRefs ?? []).entries()) {
    yield* validateTarget(target, path.field("targetRefs").item(index));
  }
}

/** What Istio warns of in what an object says it is for. */
export function* targetWarnings({ selector }: PolicyTargets, path: FieldPath): Warnings {
  if (selector !== undefined) yield* selectorWarnings(selector.matchLabels, path.field("selector"));
}
