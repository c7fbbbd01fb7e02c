import type { ResourceObject } from "#api/meta.ts";
import type { AdmitOptions } from "#api/validation.ts";
import type { Context } from "../context.ts";
import { ApiError, invalid } from "../status.ts";
import type { Target, WriteOptions } from "./target.ts";

/**
 * Refuses, or warns of, fields that nobody knows or that stand twice, as `fieldValidation` says.
 * @throws ApiError `BadRequest` where they are strictly refused.
 */
export function reportFields(
  target: Target,
  problem: "unknown" | "duplicate",
  fields: readonly string[],
  options: WriteOptions,
): void {
  if (fields.length === 0 || options.fieldValidation === "Ignore") return;
  const texts = fields.map((field) => `${problem} field "${field}"`);
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
  reportFields(target, "unknown", unknown, options);
  if (errors.length > 0) throw invalid(target.kind, submitted.metadata.name ?? "", errors);
  for (const warning of warnings) options.warn(warning);
  return object;
}
