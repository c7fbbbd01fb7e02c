import type { ObjectRef } from "./meta.ts";

/** How bad a finding is: an error does not work, a warning may surprise, information only tells. */
export type Severity = "error" | "warning" | "info";

/**
 * A user's mistake, or something a user should know, as a value. Codes are stable and upper camel case,
 * such as `UnknownHost`.
 */
export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  /** The object that the user would change. */
  readonly resource: ObjectRef;
  /** Path of the field in the object, such as `spec.http[0].route[1].destination.host`. */
  readonly field?: string;
  /** What is wrong and what to do, in one or two sentences. */
  readonly message: string;
}
