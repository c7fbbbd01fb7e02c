import type { FieldPath } from "./field.ts";
import { isObject } from "./json.ts";
import { keyword } from "./schema.ts";

/** The parts of a JSON Schema that shaping reads. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly default?: unknown;
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly [keyword: string]: unknown;
}

/**
 * Brings a submitted value into the shape of a schema: fields that the schema does not know go and their paths are
 * told, null members go as if absent, missing fields get their defaults, and numbers become texts where the schema
 * has quantities. What has the wrong type stays, for validation to tell.
 */
export type Shaper = (value: unknown, path: FieldPath, unknown: (path: FieldPath) => void) => unknown;

const asItIs: Shaper = (value) => value;

const quantityText: Shaper = (value) => (typeof value === "number" ? String(value) : value);

/** Prepares the shaping of values of a schema. Work is done once here, so that shaping is fast. */
export function shaper(node: SchemaNode): Shaper {
  if (node.properties !== undefined) return objectShaper(node, node.properties);
  if (node.additionalProperties !== undefined) return mapShaper(shaper(node.additionalProperties));
  if (node.items !== undefined) return listShaper(shaper(node.items));
  return node.format === "quantity" ? quantityText : asItIs;
}

function objectShaper(node: SchemaNode, properties: Readonly<Record<string, SchemaNode>>): Shaper {
  const fields = new Map(Object.entries(properties).map(([name, field]) => [name, shaper(field)]));
  const defaults = Object.entries(properties).filter(([, field]) => field.default !== undefined);
  const open = node[keyword.preserveUnknown] === true;
  return (value, path, unknown) => {
    if (!isObject(value)) return value;
    const entries: [string, unknown][] = [];
    for (const [name, member] of Object.entries(value)) {
      const field = fields.get(name);
      if (field === undefined) {
        if (open) entries.push([name, member]);
        else unknown(path.field(name));
      } else if (member !== null && member !== undefined)
        entries.push([name, field(member, path.field(name), unknown)]);
    }
    for (const [name, { default: given }] of defaults) {
      const missing = value[name] === undefined || value[name] === null;
      // A default may be an object with defaults of its own.
      if (missing) entries.push([name, fields.get(name)?.(structuredClone(given), path.field(name), unknown)]);
    }
    return Object.fromEntries(entries);
  };
}

function mapShaper(values: Shaper): Shaper {
  return (value, path, unknown) => {
    if (!isObject(value)) return value;
    const present = Object.entries(value).filter(([, member]) => member !== null && member !== undefined);
    return Object.fromEntries(present.map(([key, member]) => [key, values(member, path.key(key), unknown)]));
  };
}

function listShaper(items: Shaper): Shaper {
  return (value, path, unknown) =>
    Array.isArray(value) ? value.map((item, index) => items(item, path.item(index), unknown)) : value;
}
