import type { Kind } from "../kind.ts";
import type { ResourceObject } from "../meta.ts";
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

/** The fields of a kind's body that have no fields below them. */
export function leafPaths(kind: Kind): readonly string[] {
  const paths = schemaPaths(kind);
  const inner = new Set(paths.map((path) => path.replace(/\.[^.]+$/, "")));
  return paths.filter((path) => !inner.has(path));
}

function* pathsIn(node: SchemaNode, value: unknown, path: string): Generator<string> {
  const members = Object.entries(value ?? {});
  if (node.items !== undefined) {
    for (const [, item] of members) yield* pathsIn(node.items, item, `${path}[]`);
    return;
  }
  if (node.additionalProperties !== undefined) {
    for (const [, entry] of members) yield* pathsIn(node.additionalProperties, entry, `${path}{}`);
    return;
  }
  yield path;
  for (const [name, field] of Object.entries(node.properties ?? {})) {
    const member = members.find(([key]) => key === name)?.[1];
    if (member !== undefined) yield* pathsIn(field, member, `${path}.${name}`);
  }
}

/** The fields of its kind's body that an object has, as `schemaPaths` writes them; an empty list has none. */
export function objectPaths(kind: Kind, object: ResourceObject): ReadonlySet<string> {
  const parts = Object.entries(kind.schema.properties).filter(([name]) => object[name] !== undefined);
  return new Set(parts.flatMap(([name, field]) => [...pathsIn(field as SchemaNode, object[name], name)]));
}
