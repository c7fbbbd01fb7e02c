import type { Kind } from "../kind.ts";
import { ObjectMeta } from "../kubernetes/meta.ts";
import { takeOutDefinitions } from "../references.ts";
import { keyword, object, string } from "../schema.ts";
import type { SchemaNode } from "../shape.ts";

/** A JSON object of an OpenAPI document. */
export type Json = Readonly<Record<string, unknown>>;

/** What tells one version of OpenAPI from the other, where schemas are concerned. */
export interface Dialect {
  /** The place of a schema in the document. */
  readonly reference: (name: string) => string;
  /** A reference with what is said beside it. */
  readonly use: (reference: Json, beside: Json) => Json;
  /** A whole number or a text. */
  readonly intOrString: Json;
}

/** OpenAPI 2.0, Swagger. */
export const version2: Dialect = {
  reference: (name) => `#/definitions/${name}`,
  use: (reference, beside) => ({ ...reference, ...beside }),
  intOrString: { type: "string", format: "int-or-string" },
};

/** OpenAPI 3.0, where nothing may stand beside a reference. */
export const version3: Dialect = {
  reference: (name) => `#/components/schemas/${name}`,
  use: (reference, beside) => ({ allOf: [reference], ...beside }),
  intOrString: { format: "int-or-string", oneOf: [{ type: "integer" }, { type: "string" }] },
};

const intOrStringName = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const quantityName = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/** Formats that other programs know. */
const commonFormats = new Set(["int32", "int64", "double", "date-time", "byte"]);

/** Keywords that are said of every schema as they are. */
const plain = [
  "type",
  "description",
  "default",
  "enum",
  "minimum",
  "maximum",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "maxProperties",
  "pattern",
  keyword.preserveUnknown,
  keyword.patchStrategy,
  keyword.patchMergeKey,
  keyword.listType,
  keyword.listMapKeys,
  keyword.mapType,
];

/** The name of a kind's own schema, as Kubernetes names its own and those of custom resources. */
export function kindSchemaName(kind: Kind, version: string): string {
  if (!kind.strategicMerge) {
    return `${kind.group.split(".").toReversed().join(".")}.${version}.${kind.kind}`;
  }
  return `io.k8s.api.${kind.group.split(".")[0] || "core"}.${version}.${kind.kind}`;
}

/** Schemas of an OpenAPI document, by name. */
export class Schemas {
  readonly #dialect: Dialect;
  readonly #schemas = new Map<string, Json>();

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  /** Adds a schema, with the parts that it names, under a name. */
  add(name: string, schema: SchemaNode, beside: Json = {}): void {
    const { root, definitions } = takeOutDefinitions(schema, this.#dialect.reference);
    this.#schemas.set(name, { ...this.#convert(root), ...beside });
    for (const [part, node] of definitions) {
      if (!this.#schemas.has(part)) this.#schemas.set(part, this.#convert(node));
    }
  }

  /** Adds the schemas of a kind and of its lists. */
  addKind(kind: Kind, version: string): void {
    const name = kindSchemaName(kind, version);
    const group = kind.group;
    const gvk = (of: string): Json => ({ "x-kubernetes-group-version-kind": [{ group, kind: of, version }] });
    const head = {
      apiVersion: string("The group and version of the API that the object is written in."),
      kind: string("The object's kind."),
      metadata: ObjectMeta,
    };
    const { required: own, properties } = kind.schema;
    const node = object(kind.description, {}, { ...head, ...properties }) as unknown as SchemaNode;
    this.add(name, { ...node, required: own }, gvk(kind.kind));
    this.#schemas.set(`${name}List`, {
      type: "object",
      description: `A list of objects of the kind ${kind.kind}.`,
      required: ["items"],
      properties: {
        apiVersion: { type: "string", description: "The group and version of the API." },
        kind: { type: "string", description: "The list's kind." },
        metadata: { type: "object", description: "The list's version and what follows it." },
        items: {
          type: "array",
          description: "The objects.",
          items: this.#dialect.use({ $ref: this.#dialect.reference(name) }, {}),
        },
      },
      ...gvk(`${kind.kind}List`),
    });
  }

  /** All schemas, sorted by name. */
  sorted(): Json {
    return Object.fromEntries([...this.#schemas].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #convert(node: SchemaNode): Json {
    const { $ref: reference, ...rest } = node;
    if (typeof reference === "string") return this.#dialect.use({ $ref: reference }, rest);
    const { description, default: given } = node;
    const beside = { description, ...(given === undefined ? {} : { default: given }) };
    if (node[keyword.intOrString] === true) {
      return this.#shared(intOrStringName, "A whole number or a text.", this.#dialect.intOrString, beside);
    }
    if (node.format === "quantity") {
      return this.#shared(quantityName, "An amount, such as 500m, 2 or 1Gi.", { type: "string" }, beside);
    }
    return this.#structure(node);
  }

  #structure(node: SchemaNode): Json {
    const entries = plain.filter((name) => node[name] !== undefined).map((name) => [name, node[name]] as const);
    const properties = Object.entries(node.properties ?? {});
    // What has a default need not be given.
    const required = (node.required ?? []).filter((name) => node.properties?.[name]?.default === undefined);
    const { format = "" } = node;
    return {
      ...Object.fromEntries(entries),
      ...(commonFormats.has(format) ? { format } : {}),
      ...(required.length === 0 ? {} : { required }),
      ...(node.items === undefined ? {} : { items: this.#convert(node.items) }),
      ...(node.additionalProperties === undefined
        ? {}
        : { additionalProperties: this.#convert(node.additionalProperties) }),
      ...(node.properties === undefined
        ? {}
        : { properties: Object.fromEntries(properties.map(([name, field]) => [name, this.#convert(field)])) }),
    };
  }

  /** A reference to a schema that is not made of fields. */
  #shared(name: string, description: string, schema: Json, beside: Json): Json {
    this.#schemas.set(name, { description, ...schema });
    return this.#dialect.use({ $ref: this.#dialect.reference(name) }, beside);
  }
}
