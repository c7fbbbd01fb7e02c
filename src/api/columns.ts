import type { Column } from "./kind.ts";
import type { ResourceObject } from "./meta.ts";

/** When the object was made, which clients print as an age. The name's column is the server's, no kind lists it. */
export const ageColumn: Column = {
  name: "Age",
  type: "date",
  description: "How long ago the object was made.",
  cell: (object) => object.metadata.creationTimestamp,
};

/** The value at a path of field names, or undefined. */
export function valueAt(object: ResourceObject, ...path: readonly string[]): unknown {
  let value: unknown = object;
  for (const name of path) {
    if (value === null || typeof value !== "object") return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value;
}

/**
 * A column that prints a field as Kubernetes prints those of custom resources: a list as JSON, nothing where the
 * field is absent.
 */
export function fieldColumn(name: string, path: readonly string[], description: string): Column {
  return {
    name,
    type: "string",
    description,
    cell: (object) => {
      const value = valueAt(object, ...path);
      if (value === undefined) return "";
      return typeof value === "string" || typeof value === "number" ? value : JSON.stringify(value);
    },
  };
}
