import { fieldSteps } from "./document.ts";

/** The JSON pointer (RFC 6901) of steps into an object. */
export function pointer(...steps: readonly (string | number)[]): string {
  return steps.map((step) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** The JSON pointer of a field such as `spec.http[0].route`. */
export function fieldPointer(field: string): string {
  return pointer(...fieldSteps(field));
}

/** The field around a field: of `spec.http[0].match`, `spec.http[0]`. */
export function parentField(field: string): string {
  return field.replace(/(?:\.?[^.[\]]+|\[[^\]]*\])$/, "");
}

/** What stands at a field; undefined where nothing does. */
export function valueAt(object: unknown, field: string): unknown {
  let value = object;
  for (const name of fieldSteps(field)) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value;
}
