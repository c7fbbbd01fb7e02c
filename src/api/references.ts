import { keyword } from "./schema.ts";
import type { SchemaNode } from "./shape.ts";

/** A schema whose named parts are references, and those parts by name. */
export interface Referenced {
  readonly root: SchemaNode;
  readonly definitions: ReadonlyMap<string, SchemaNode>;
}

/** What `definition` leaves at a schema. */
interface Definition {
  readonly name: string;
  readonly description: string;
}

/** Keywords that speak of one use of a part: they stay beside the reference. */
const useKeywords = new Set<string>(["description", "default", keyword.patchStrategy, keyword.patchMergeKey]);

function split(node: SchemaNode): readonly [use: SchemaNode, structure: SchemaNode] {
  const entries = Object.entries(node);
  return [
    Object.fromEntries(entries.filter(([name]) => useKeywords.has(name))),
    Object.fromEntries(entries.filter(([name]) => !useKeywords.has(name) && name !== keyword.definition)),
  ];
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

/**
 * Takes the named parts out of a schema and puts references in their places.
 * @param reference the text of a reference, from the part's name.
 */
export function takeOutDefinitions(schema: SchemaNode, reference: (name: string) => string): Referenced {
  const definitions = new Map<string, SchemaNode>();
  const inner = (node: SchemaNode): SchemaNode => ({
    ...node,
    ...(node.items === undefined ? {} : { items: outer(node.items, false) }),
    ...(node.additionalProperties === undefined
      ? {}
      : { additionalProperties: outer(node.additionalProperties, false) }),
    ...(node.properties === undefined ? {} : { properties: mapValues(node.properties, (field) => outer(field, true)) }),
  });
  const outer = (node: SchemaNode, field: boolean): SchemaNode => {
    const known = node[keyword.definition] as Definition | undefined;
    if (known === undefined) return inner(node);
    const { name, description } = known;
    const [{ description: ofUse, ...use }, structure] = split(node);
    if (!definitions.has(name)) definitions.set(name, { description, ...inner(structure) });
    // A field needs a description of its own; an item of a list that only repeats the part's does not.
    return { $ref: reference(name), ...(ofUse === description && !field ? {} : { description: ofUse }), ...use };
  };
  return { root: outer(schema, true), definitions };
}
