/** The steps of a path such as `spec.http[0].headers[end-user]`. Names in brackets may hold points. */
export function fieldSteps(field: string): readonly string[] {
  return [...field.matchAll(/\[([^\]]*)\]|([^.[\]]+)/g)].map(([, inner, plain]) => inner ?? plain ?? "");
}

/** The JSON pointer (RFC 6901) of a field such as `spec.http[0].route`. */
export function fieldPointer(field: string): string {
  return fieldSteps(field)
    .map((step) => `/${step.replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");
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
