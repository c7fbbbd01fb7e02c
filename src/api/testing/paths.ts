import type { Kind } from "../kind.ts";
import { keyword } from "../schema.ts";
import type { SchemaNode } from "../shape.ts";

/** A field of a schema, and whether anything may stand under it. */
interface SchemaPath {
  readonly path: string;
  readonly open: boolean;
}

function* pathsOf(node: SchemaNode, path: string): Generator<SchemaPath> {
  if (node.items !== undefined) {
    yield* pathsOf(node.items, `${path}[]`);
    return;
  }
  if (node.additionalProperties !== undefined) {
    yield* pathsOf(node.additionalProperties, `${path}{}`);
    return;
  }
  yield { path, open: node[keyword.preserveUnknown] === true && node.properties === undefined };
  for (const [name, field] of Object.entries(node.properties ?? {})) yield* pathsOf(field, `${path}.${name}`);
}

/** Every field of a kind's body: `spec.http[].match[].headers{}.exact`, with `[]` for items and `{}` for entries. */
export function schemaPaths(kind: Kind): readonly SchemaPath[] {
  return Object.entries(kind.schema.properties).flatMap(([name, field]) => [...pathsOf(field as SchemaNode, name)]);
}

/** Whether a listed field stands under a field of which a schema keeps everything. */
export function isUnder(path: string, open: ReadonlySet<string>): boolean {
  return path.split(/(?=[.[{])/).some((_, at, steps) => at > 0 && open.has(steps.slice(0, at).join("")));
}
