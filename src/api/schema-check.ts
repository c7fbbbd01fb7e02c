import { Ajv } from "ajv";
import type { ErrorObject, ValidateFunction } from "ajv";
import type { FieldError } from "./kind.ts";
import { type FieldPath, forbidden, invalid, notSupported, required } from "./field.ts";
import { numberFormats, textFormats } from "./formats.ts";
import { takeOutDefinitions } from "./references.ts";
import { keyword } from "./schema.ts";
import type { SchemaNode } from "./shape.ts";

/** Says what is wrong with a value that does not fit a schema; nothing where it fits. */
export type SchemaCheck = (value: unknown, root: FieldPath) => readonly FieldError[];

/** The fields of a group of which more than one is set. */
function conflicts(groups: readonly (readonly string[])[], value: object): readonly string[] | undefined {
  return groups.map((group) => group.filter((name) => name in value)).find((set) => set.length > 1);
}

function newAjv(): Ajv {
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true });
  for (const [name, { accepts }] of Object.entries(textFormats))
    ajv.addFormat(name, { type: "string", validate: accepts });
  for (const [name, { minimum, maximum }] of Object.entries(numberFormats)) {
    ajv.addFormat(name, { type: "number", validate: (value: number) => value >= minimum && value <= maximum });
  }
  ajv.addKeyword({
    keyword: keyword.oneOf,
    type: "object",
    validate: (groups: readonly (readonly string[])[], value: object) => conflicts(groups, value) === undefined,
  });
  ajv.addVocabulary(Object.values(keyword).filter((name) => name !== keyword.oneOf));
  return ajv;
}

/** Prepares the checks of values of schemas, one for each; parts that schemas share are prepared once. */
export class SchemaChecks {
  readonly #ajv = newAjv();

  /** The check of one schema. Takes some milliseconds: keep it. */
  of(schema: SchemaNode): SchemaCheck {
    const { root, definitions } = takeOutDefinitions(schema, (name) => `${name}#`);
    for (const [name, part] of definitions) {
      if (this.#ajv.getSchema(name) === undefined) this.#ajv.addSchema(part, name);
    }
    const validate: ValidateFunction = this.#ajv.compile(root);
    return (value, path) => {
      if (validate(value)) return [];
      return (validate.errors ?? []).flatMap((error) => fieldErrors(error, value, path));
    };
  }
}

/** What can stand after a point in a path. */
const plainName = /^[\w-]+$/;

/** The path of an error, from Ajv's JSON pointer. */
function pathOf(pointer: string, root: unknown, start: FieldPath): FieldPath {
  let path = start;
  let value: unknown = root;
  for (const step of pointer.split("/").slice(1)) {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(value)) path = path.item(Number(name));
    else path = plainName.test(name) ? path.field(name) : path.key(name);
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return path;
}

function bounds({ minimum, maximum }: SchemaNode): string {
  if (minimum !== undefined && maximum !== undefined) return `must be between ${minimum} and ${maximum}`;
  return minimum === undefined ? `must be ${maximum} or less` : `must be ${minimum} or more`;
}

function formatMessage(format: string): string {
  return textFormats[format]?.message ?? bounds({ ...numberFormats[format] });
}

function typeMessage(type: string | readonly string[]): string {
  return `must be of type ${typeof type === "string" ? type : type.join(" or ")}`;
}

/** One error of Ajv's in Kubernetes' words. */
function fieldErrors(error: ErrorObject, value: unknown, start: FieldPath): readonly FieldError[] {
  const path = pathOf(error.instancePath, value, start);
  const params = error.params as Readonly<Record<string, string>>;
  const schema = error.parentSchema as SchemaNode;
  switch (error.keyword) {
    case "required":
      return [required(path.field(params["missingProperty"] ?? ""))];
    case "enum":
      return [notSupported(path, error.data, error.schema as readonly string[])];
    case "type":
      return [invalid(path, error.data, typeMessage(error.schema as string | readonly string[]))];
    case "format":
      return [invalid(path, error.data, formatMessage(params["format"] ?? ""))];
    case "minimum":
    case "maximum":
      return [invalid(path, error.data, bounds(schema))];
    case "minItems":
      return [invalid(path, error.data, `must have ${String(error.schema)} items or more`)];
    case "maxItems":
      return [invalid(path, error.data, `must have ${String(error.schema)} items or fewer`)];
    case "maxProperties":
      return [invalid(path, error.data, `must have ${String(error.schema)} entries or fewer`)];
    case "minLength":
      return [invalid(path, error.data, `must have ${String(error.schema)} characters or more`)];
    case "maxLength":
      return [invalid(path, error.data, `must have ${String(error.schema)} characters or fewer`)];
    case keyword.oneOf:
      return oneOfErrors(path, error.schema as readonly (readonly string[])[], error.data as object);
    default:
      return [invalid(path, error.data, error.message ?? "does not fit the schema")];
  }
}

function oneOfErrors(path: FieldPath, groups: readonly (readonly string[])[], value: object): readonly FieldError[] {
  const [first = "", ...others] = conflicts(groups, value) ?? [];
  const group = groups.find((names) => names.includes(first)) ?? [];
  const detail = `only one of ${group.join(", ")} may be set, and ${first} is`;
  return others.map((name) => forbidden(path.field(name), detail));
}
