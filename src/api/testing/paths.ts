import type { Kind } from "../kind.ts";
import type { SchemaNode } from "../shape.ts";

function* pathsOf(node: SchemaNode, path: string): Generator<string> {
  if (node.items !== undefined) {
    yield* pathsOf(node.items, `${path}[]`);
    return;
  }
  if (node.additionalProperties !== undefined) {
    yield* pathsOf(node.additionalProperties, `${path}{}`);
    return;
  }
  yield path;
  for (const [name, field] of Object.entries(node.properties ?? {})) yield* pathsOf(field, `${path}.${name}`);
}

/** Every field of a kind's body: `spec.http[].match[].headers{}.exact`, with `[]` for items and `{}` for entries. */
export function schemaPaths(kind: Kind): readonly string[] {
  return Object.entries(kind.schema.properties).flatMap(([name, field]) => [...pathsOf(field as SchemaNode, name)]);
}
