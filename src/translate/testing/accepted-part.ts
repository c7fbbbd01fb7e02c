import { fieldSteps, parentField } from "#api/field-path.ts";
import type { FieldError, Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { ownValue } from "#api/record.ts";
import { Validator } from "#api/validation.ts";

type Members = Record<string, unknown>;

/** What holds the field that steps lead to, as far as it is there, and the last step. */
function holderOf(object: object, steps: readonly string[]): readonly [holder: Members, last: string] {
  let at = object as Members;
  for (const step of steps.slice(0, -1)) {
    const next = ownValue(at, step);
    if (typeof next !== "object" || next === null) break;
    at = next as Members;
  }
  return [at, steps.at(-1) ?? ""];
}

/** Takes the field that a path such as `spec.http[0].match[1].uri` leads to out of an object. */
function prune(object: object, path: string): void {
  const [holder, last] = holderOf(object, fieldSteps(path));
  if (Array.isArray(holder)) holder.splice(Number(last) || 0, 1);
  else delete holder[last];
}

const validator = new Validator();
/** How often an object is mended before it is given up. */
const rounds = 16;

/** Makes values anew for an object that is being mended. */
export interface Redraw {
  /** Another value of the field that steps lead to; undefined where the schema has no such field. */
  draw(steps: readonly string[]): unknown;
  /** Whether the field is one that the object is made for, or stands around it. */
  wanted(steps: readonly string[]): boolean;
}

function replace(object: object, steps: readonly string[], redraw: Redraw): void {
  const [holder, last] = holderOf(object, steps);
  const value = redraw.draw(steps);
  if (value !== undefined) Object.assign(holder, { [last]: value });
}

/** Changes what is refused: first into other values, later by leaving it out, and at last with what is around it. */
function mend(object: object, { field, reason }: FieldError, round: number, redraw: Redraw): void {
  const steps = fieldSteps(field);
  const early = round < rounds / 2;
  if (early && reason !== "FieldValueForbidden") replace(object, steps, redraw);
  // What goes with it shall be another.
  else if (early && redraw.wanted(steps)) replace(object, steps.slice(0, -1), redraw);
  else prune(object, round < (rounds * 3) / 4 ? field : parentField(field));
}

/** The object with the status that was submitted, where the API takes it. */
function withStatus(kind: Kind, object: ResourceObject, submitted: ResourceObject): ResourceObject {
  const { status } = submitted;
  const whole = { ...object, metadata: submitted.metadata };
  if (!kind.status || status === undefined) return whole;
  const { object: written, errors } = validator.admit(kind, { ...whole, status }, { part: "status" });
  return errors.length === 0 ? written : whole;
}

/** The object as the API would store it, mended where it would be refused; undefined where that does not come right. */
export function accepted(kind: Kind, submitted: ResourceObject, redraw: Redraw): ResourceObject | undefined {
  const object = structuredClone(submitted);
  for (let round = 0; round < rounds; round++) {
    const admission = validator.admit(kind, object);
    if (admission.errors.length === 0) return withStatus(kind, admission.object, object);
    // From the last one, so that the places of items before it stay as they are.
    for (const error of admission.errors.toReversed()) mend(object, error, round, redraw);
  }
  return undefined;
}
