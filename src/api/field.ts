import type { FieldError } from "./kind.ts";

/** How much of a wrong value a message repeats. */
const valueLimit = 256;

/** Where a field stands in an object, as Kubernetes writes it: `spec.http[0].headers[end-user]`. */
export class FieldPath {
  readonly #parent: FieldPath | undefined;
  readonly #step: string;

  private constructor(parent: FieldPath | undefined, step: string) {
    this.#parent = parent;
    this.#step = step;
  }

  /** The path of the object itself, which has no text. */
  static readonly root = new FieldPath(undefined, "");

  /** A field by its name, or by several names one in the other. */
  field(...names: readonly string[]): FieldPath {
    return names.reduce<FieldPath>((path, name) => new FieldPath(path, `.${name}`), this);
  }

  /** An item of a list. */
  item(index: number): FieldPath {
    return new FieldPath(this, `[${index}]`);
  }

  /** An entry of a map. */
  key(key: string): FieldPath {
    return new FieldPath(this, `[${key}]`);
  }

  toString(): string {
    const text = this.#text();
    return text.startsWith(".") ? text.slice(1) : text;
  }

  #text(): string {
    return this.#parent === undefined ? this.#step : this.#parent.#text() + this.#step;
  }
}

function valueText(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  return text.length > valueLimit ? `${text.slice(0, valueLimit)}...` : text;
}

/** A field is missing or empty. */
export function required(path: FieldPath, detail?: string): FieldError {
  const message = detail === undefined ? "Required value" : `Required value: ${detail}`;
  return { field: path.toString(), reason: "FieldValueRequired", message };
}

/** A field has a value that it cannot have. */
export function invalid(path: FieldPath, value: unknown, detail: string): FieldError {
  return {
    field: path.toString(),
    reason: "FieldValueInvalid",
    message: `Invalid value: ${valueText(value)}: ${detail}`,
  };
}

/** A field has none of the values that it may have. */
export function notSupported(path: FieldPath, value: unknown, supported: readonly string[]): FieldError {
  const values = supported.map((word) => JSON.stringify(word)).join(", ");
  return {
    field: path.toString(),
    reason: "FieldValueNotSupported",
    message: `Unsupported value: ${valueText(value)}: supported values: ${values}`,
  };
}

/** A field repeats what must be there once. */
export function duplicate(path: FieldPath, value: unknown): FieldError {
  return { field: path.toString(), reason: "FieldValueDuplicate", message: `Duplicate value: ${valueText(value)}` };
}

/** A field must not be set here. */
export function forbidden(path: FieldPath, detail: string): FieldError {
  return { field: path.toString(), reason: "FieldValueForbidden", message: `Forbidden: ${detail}` };
}

/** Something that the user should know about a field of an object that is accepted. */
export function warning(path: FieldPath, text: string): string {
  return `${path.toString()}: ${text}`;
}
