import type { FieldError, Kind } from "./kind.ts";
import type { ResourceObject } from "./meta.ts";
import { FieldPath } from "./field.ts";
import { ObjectMeta } from "./kubernetes/meta.ts";
import { validateMetadata } from "./metadata.ts";
import { object, string } from "./schema.ts";
import { SchemaChecks } from "./schema-check.ts";
import type { SchemaCheck } from "./schema-check.ts";
import { shaper } from "./shape.ts";
import type { SchemaNode, Shaper } from "./shape.ts";

/** What became of a submitted object. */
export interface Admission {
  /**
   * The object in its kind's shape: without fields that the schema does not know, without nulls, with defaults. Not
   * to be stored where there are errors. Its metadata is what was submitted.
   */
  readonly object: ResourceObject;
  /** Paths of the fields that were left out because nobody knows them. */
  readonly unknown: readonly string[];
  readonly errors: readonly FieldError[];
  /** What the user should know even where there are no errors. */
  readonly warnings: readonly string[];
}

/** How an object is admitted. */
export interface AdmitOptions {
  /**
   * The part that a request may write, the only one that is checked: all but the status (the default; a submitted
   * status is left out where the status has its own subresource), or the status alone (all else stays as it is).
   */
  readonly part?: "specification" | "status";
  /** The stored object that this one replaces. */
  readonly before?: ResourceObject;
}

/** What is prepared for a kind, when it is first used. */
interface Prepared {
  readonly shape: Shaper;
  readonly specification: SchemaCheck;
  readonly status: SchemaCheck;
}

function schemaNode(kind: Kind): SchemaNode {
  const head = { apiVersion: string("The API version."), kind: string("The kind."), metadata: ObjectMeta };
  return object(kind.description, { ...head, ...kind.schema.properties }, {}) as unknown as SchemaNode;
}

/** The schema without some of its fields, and with no field required that is not there. */
function without(node: SchemaNode, left: (name: string) => boolean, required: readonly string[]): SchemaNode {
  const properties = Object.entries(node.properties ?? {}).filter(([name]) => !left(name));
  return { type: "object", properties: Object.fromEntries(properties), required };
}

/**
 * Checks and completes submitted objects by their kinds' schemas. Preparing a kind takes up to some tens of
 * milliseconds, when its first object comes.
 */
export class Validator {
  readonly #checks = new SchemaChecks();
  readonly #prepared = new Map<Kind, Prepared>();

  /**
   * Checks a submitted object. Call it when the server has put in what the request's path says (name, namespace) and,
   * for a change, when patches are applied.
   */
  admit(kind: Kind, submitted: unknown, options: AdmitOptions = {}): Admission {
    const { part = "specification", before } = options;
    const prepared = this.#prepare(kind);
    const unknown: string[] = [];
    const shaped = prepared.shape(submitted, FieldPath.root, (path) => unknown.push(path.toString()));
    const check = part === "status" ? prepared.status : prepared.specification;
    const object = shaped as ResourceObject;
    const errors = check(shaped, FieldPath.root);
    if (part === "status") return { object, unknown, errors, warnings: [] };
    const body = kind.status && errors.length === 0 ? withoutStatus(object) : object;
    if (errors.length > 0) return { object: body, unknown, errors, warnings: [] };
    return { unknown, ...complete(kind, body, before) };
  }

  #prepare(kind: Kind): Prepared {
    const known = this.#prepared.get(kind);
    if (known !== undefined) return known;
    const node = schemaNode(kind);
    // A schema without required fields has no such keyword, whatever its type says.
    const own = (kind.schema.required as readonly string[] | undefined) ?? [];
    const prepared: Prepared = {
      shape: shaper(node),
      specification: this.#checks.of(
        without(node, (name) => kind.status && name === "status", ["apiVersion", "kind", "metadata", ...own]),
      ),
      status: this.#checks.of(without(node, (name) => name !== "status" && name !== "metadata", ["metadata"])),
    };
    this.#prepared.set(kind, prepared);
    return prepared;
  }
}

function withoutStatus(object: ResourceObject): ResourceObject {
  const { status: _, ...rest } = object;
  return rest;
}

/** Completes an object that fits its schema, and checks what the schema cannot say. */
function complete(kind: Kind, body: ResourceObject, before: ResourceObject | undefined): Omit<Admission, "unknown"> {
  const object = kind.complete?.(body) ?? body;
  const errors = [
    ...validateMetadata(kind, object.metadata),
    ...(kind.validate?.(object) ?? []),
    ...(before === undefined ? [] : (kind.validateUpdate?.(object, before) ?? [])),
  ];
  return { object, errors, warnings: kind.warnings?.(object) ?? [] };
}
