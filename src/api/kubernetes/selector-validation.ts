import type { FieldError } from "../kind.ts";
import type { StringMap } from "../meta.ts";
import { type FieldPath, forbidden, invalid, notSupported, required } from "../field.ts";
import { keyProblem, labelValueProblem, validateLabels } from "../metadata.ts";
import type { LabelSelector } from "./meta.ts";
import { selects } from "./selector.ts";

const operators = ["In", "NotIn", "Exists", "DoesNotExist"];

/** Checks a label selector. */
export function* validateLabelSelector(selector: LabelSelector, path: FieldPath): Generator<FieldError> {
  yield* validateLabels(selector.matchLabels, path.field("matchLabels"));
  for (const [index, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const at = path.field("matchExpressions").item(index);
    const problem = keyProblem(key);
    if (problem !== undefined) yield invalid(at.field("key"), key, problem);
    if (!operators.includes(operator)) yield notSupported(at.field("operator"), operator, operators);
    const needsValues = operator === "In" || operator === "NotIn";
    if (needsValues && values.length === 0) yield required(at.field("values"), "for operators In and NotIn");
    if (!needsValues && values.length > 0) yield forbidden(at.field("values"), "only for operators In and NotIn");
    for (const [number, value] of values.entries()) {
      const wrong = labelValueProblem(value);
      if (wrong !== undefined) yield invalid(at.field("values").item(number), value, wrong);
    }
  }
}

/** Checks the selector of what keeps Pods of a template: it must ask something, and the template must fit it. */
export function* validateOwnSelector(
  selector: LabelSelector,
  labels: StringMap | undefined,
  path: FieldPath,
): Generator<FieldError> {
  yield* validateLabelSelector(selector, path.field("selector"));
  const asked = Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length;
  if (asked === 0) yield invalid(path.field("selector"), selector, "must ask for at least one label");
  else if (!selects(selector, labels ?? {})) {
    yield invalid(
      path.field("template", "metadata", "labels"),
      labels ?? {},
      "`selector` does not match template `labels`",
    );
  }
}
