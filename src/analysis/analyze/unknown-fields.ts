import type { Kind } from "#api/kind.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { SchemaNode } from "#api/shape.ts";
import type { Fix, Problem } from "./message.ts";
import { nearest } from "./nearest.ts";
import { fieldPointer, fieldSteps, parentField, valueAt } from "#api/field-path.ts";

/** The fields that may stand beside a field of a kind. */
function knownBeside(kind: Kind, field: string): readonly string[] {
  let node: SchemaNode | undefined = kind.schema as unknown as SchemaNode;
  for (const name of fieldSteps(field).slice(0, -1)) {
    node = /^\d+$/.test(name) && node?.items ? node.items : (node?.properties?.[name] ?? node?.additionalProperties);
  }
  return Object.keys(node?.properties ?? {});
}

function repair(value: unknown, field: string, meant: string | undefined): Fix {
  const from = fieldPointer(field);
  const parent = parentField(field);
  const to = parent === "" ? (meant ?? "") : `${parent}.${meant ?? ""}`;
  if (meant === undefined || valueAt(value, to) !== undefined) {
    return { text: `Remove ${field}.`, patch: [{ op: "remove", path: from }] };
  }
  return { text: `Rename ${field} to ${meant}.`, patch: [{ op: "move", from, path: fieldPointer(to) }] };
}

/** Fields that the API does not know: `kubectl apply` refuses them. */
export function unknownFields(
  kind: Kind,
  resource: ObjectRef,
  value: unknown,
  fields: readonly string[],
): readonly Problem[] {
  return fields.map((field) => {
    const meant = nearest(fieldSteps(field).at(-1) ?? "", knownBeside(kind, field));
    const hint = meant === undefined ? "" : ` Did you mean ${meant}?`;
    const message = `${field}: ${kind.kind} has no such field.${hint}`;
    const fix = repair(value, field, meant);
    return { code: "SchemaValidationError", severity: "error", resource, field, message, fix };
  });
}
