import { equal } from "#base/canonical.ts";
import type { FieldError } from "../kind.ts";
import { FieldPath, forbidden, invalid } from "../field.ts";
import type { Deployment } from "./deployment.ts";
import { validateTemplate } from "./pod-validation.ts";
import type { ReplicaSet } from "./replica-set.ts";
import { validateOwnSelector } from "./selector-validation.ts";

/** Whole percentages, as a share of the replicas. */
const percentage = /^\d+%$/;

/** Checks a ReplicaSet as Kubernetes does. */
export function* validateReplicaSet({ spec }: ReplicaSet | Deployment): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  yield* validateOwnSelector(spec.selector, spec.template.metadata?.labels, path);
  yield* validateTemplate(spec.template, path.field("template"));
}

function* validateShare(share: number | string, path: FieldPath): Generator<FieldError> {
  if (typeof share === "number") {
    if (share < 0) yield invalid(path, share, "must be greater than or equal to 0");
  } else if (!percentage.test(share)) yield invalid(path, share, "must be a count or a percentage, such as 1 or 25%");
}

function isNothing(share: number | string): boolean {
  return share === 0 || share === "0%";
}

function* validateStrategy(
  { type, rollingUpdate }: Deployment["spec"]["strategy"],
  path: FieldPath,
): Generator<FieldError> {
  if (rollingUpdate === undefined) return;
  const at = path.field("rollingUpdate");
  if (type === "Recreate") {
    yield forbidden(at, "may not be specified when strategy `type` is 'Recreate'");
    return;
  }
  const { maxUnavailable, maxSurge } = rollingUpdate;
  yield* validateShare(maxUnavailable, at.field("maxUnavailable"));
  yield* validateShare(maxSurge, at.field("maxSurge"));
  if (isNothing(maxUnavailable) && isNothing(maxSurge)) {
    yield invalid(at.field("maxUnavailable"), maxUnavailable, "may not be 0 when `maxSurge` is 0");
  }
  if (typeof maxUnavailable === "string" && Number.parseInt(maxUnavailable, 10) > 100) {
    yield invalid(at.field("maxUnavailable"), maxUnavailable, "must not be greater than 100%");
  }
}

/** Checks a Deployment as Kubernetes does. */
export function* validateDeployment(deployment: Deployment): Generator<FieldError> {
  yield* validateReplicaSet(deployment);
  const path = FieldPath.root.field("spec");
  const { strategy, progressDeadlineSeconds, minReadySeconds = 0 } = deployment.spec;
  yield* validateStrategy(strategy, path.field("strategy"));
  if (progressDeadlineSeconds <= minReadySeconds) {
    yield invalid(
      path.field("progressDeadlineSeconds"),
      progressDeadlineSeconds,
      "must be greater than minReadySeconds",
    );
  }
}

/** Checks a change of a Deployment or ReplicaSet: the selector stays, or Pods would be lost. */
export function* validateSelectorUpdate<One extends Deployment | ReplicaSet>(
  { spec }: One,
  { spec: before }: One,
): Generator<FieldError> {
  if (equal(spec.selector, before.selector)) return;
  yield invalid(FieldPath.root.field("spec", "selector"), spec.selector, "field is immutable");
}
