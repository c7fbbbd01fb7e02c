import type { ResourceObject } from "#api/meta.ts";
import type { AdmitOptions } from "#api/validation.ts";
import type { Context } from "../context.ts";
import { ApiError, invalid } from "../status.ts";
import type { Target, WriteOptions } from "./target.ts";

/** Refuses, or warns of, fields that nobody knows, as `fieldValidation` says. */
function reportUnknown(target: Target, unknown: readonly string[], options: WriteOptions): void {
  if (unknown.length === 0 || options.fieldValidation === "Ignore") return;
  const texts = unknown.map((field) => `unknown field "${field}"`);
  if (options.fieldValidation === "Warn") {
    for (const text of texts) options.warn(text);
    return;
  }
  const { kind, version } = target;
  throw new ApiError(
    "BadRequest",
    `${kind.kind} in version "${version}" cannot be handled as a ${kind.kind}: strict decoding error: ${texts.join(", ")}`,
  );
}

/**
 * A submitted object in its kind's shape, with defaults.
 * @throws ApiError `BadRequest` for unknown fields where they are strictly refused, `Invalid` for wrong ones.
 */
export function checked(
  context: Context,
  target: Target,
  submitted: { readonly metadata: { readonly name?: string } },
  options: WriteOptions,
  admit: AdmitOptions = {},
): ResourceObject {
  const { object, unknown, errors, warnings } = context.validator.admit(target.kind, submitted, admit);
  reportUnknown(target, unknown, options);
  if (errors.length > 0) throw invalid(target.kind, submitted.metadata.name ?? "", errors);
  for (const warning of warnings) options.warn(warning);
  return object;
}
