import { ObjectMeta } from "#api/kubernetes/meta.ts";
import { string } from "#api/schema.ts";
import type { Kind } from "#api/kind.ts";
import { keyword } from "#api/schema.ts";
import type { SchemaNode } from "#api/shape.ts";

/** A key by which items of a list are told apart. */
interface ItemKey {
  readonly name: string;
  /** The name as JSON. */
  readonly label: string;
  /** What an item without the key has, by its schema. */
  readonly standard: unknown;
}

/** A list whose items have owners of their own: `x-kubernetes-list-type` `map`, or `set`, which has no keys. */
export interface ItemsType {
  readonly kind: "items";
  /** Sorted by name. */
  readonly keys: readonly ItemKey[];
  readonly item: MergeType;
}

/** An object whose members have owners of their own. */
export interface FieldsType {
  readonly kind: "fields";
  readonly fields: ReadonlyMap<string, MergeType>;
  /** Of members that no field names; undefined where there are none. */
  readonly others: MergeType | undefined;
}

/**
 * How values of a schema are merged, after the keywords by which Kubernetes says it. A `leaf` has one owner, whatever it is
 * made of: a plain value, a list that is `atomic` (as lists are unless told), an object that is.
 */
export type MergeType = { readonly kind: "leaf" } | ItemsType | FieldsType;

const leafType: MergeType = { kind: "leaf" };

/** What no schema describes: objects have members of their own, all else is one value. */
const untyped: FieldsType = {
  kind: "fields",
  fields: new Map(),
  get others(): MergeType {
    return untyped;
  },
};

function keysOf(node: SchemaNode): readonly ItemKey[] {
  const names = (node[keyword.listMapKeys] as readonly string[] | undefined) ?? [];
  return names.toSorted().map((name) => ({
    name,
    label: JSON.stringify(name),
    standard: node.items?.properties?.[name]?.default,
  }));
}

/** Reads how values are merged out of schemas, each once. */
export class MergeTypes {
  readonly #ofSchemas = new WeakMap<SchemaNode, MergeType>();
  readonly #ofKinds = new WeakMap<Kind, FieldsType>();

  /** How whole objects of a kind are merged. */
  of(kind: Kind): FieldsType {
    let type = this.#ofKinds.get(kind);
    if (type === undefined) {
      const head = { apiVersion: string(""), kind: string(""), metadata: ObjectMeta };
      const properties = { ...head, ...kind.schema.properties } as unknown as Record<string, SchemaNode>;
      type = { kind: "fields", fields: this.#members(properties), others: undefined };
      this.#ofKinds.set(kind, type);
    }
    return type;
  }

  #members(properties: Readonly<Record<string, SchemaNode>>): ReadonlyMap<string, MergeType> {
    return new Map(Object.entries(properties).map(([name, field]) => [name, this.#ofSchema(field)]));
  }

  #ofSchema(node: SchemaNode): MergeType {
    let type = this.#ofSchemas.get(node);
    if (type === undefined) {
      type = this.#read(node);
      this.#ofSchemas.set(node, type);
    }
    return type;
  }

  #read(node: SchemaNode): MergeType {
    const listType = node[keyword.listType];
    if (node.items !== undefined && (listType === "map" || listType === "set")) {
      return { kind: "items", keys: listType === "map" ? keysOf(node) : [], item: this.#ofSchema(node.items) };
    }
    if (node[keyword.mapType] === "atomic") return leafType;
    const open = node[keyword.preserveUnknown] === true;
    if (node.properties !== undefined) {
      return { kind: "fields", fields: this.#members(node.properties), others: open ? untyped : undefined };
    }
    if (node.additionalProperties !== undefined) {
      return { kind: "fields", fields: new Map(), others: this.#ofSchema(node.additionalProperties) };
    }
    return open ? untyped : leafType;
  }
}
