import type { FieldPath } from "../field.ts";
import { invalid } from "../field.ts";
import { type Errors, subnetProblem } from "./names.ts";

/** Says what is wrong with a value of a rule; undefined where it is well. */
export type Problem = (value: string) => string | undefined;

const pathSegment = /^[-a-zA-Z0-9._~%!$&'()+,;:@=]+$/;
const templates = ["{*}", "{**}"];

/** Checks the values of a list, each by itself. */
export function* validateTexts(values: readonly string[] | undefined, problem: Problem, path: FieldPath): Errors {
  for (const [index, value] of (values ?? []).entries()) {
    const wrong = value === "" ? "must not be empty" : problem(value);
    if (wrong !== undefined) yield invalid(path.item(index), value, wrong);
  }
}

/** Any text that is not empty. */
export const textProblem: Problem = () => undefined;

/** An IP address or a network. */
export const blockProblem: Problem = (value) => subnetProblem(value);

/** A port number; 0 too, as in Istio. */
export const portProblem: Problem = (value) =>
  /^\d{1,9}$/.test(value) && Number(value) <= 65_535 ? undefined : "must be a port number";

/** A service account, with or without its namespace. */
export const accountProblem: Problem = (value) => {
  if (value.includes("*")) return "wildcards are not supported";
  return /^[^/]+(?:\/[^/]+)?$/.test(value) ? undefined : "must be a service account, or namespace/account";
};

/** A text with at most one wildcard, at one of its ends. */
export const wildcardProblem: Problem = (value) =>
  /^\*?[^*]*$|^[^*]*\*$/.test(value) ? undefined : "may have one wildcard, at its beginning or its end";

/** A trust domain, with or without a wildcard. */
export const trustDomainProblem: Problem = (value) =>
  wildcardProblem(value) ?? (value.includes("/") ? "must be a trust domain, without '/'" : undefined);

/** A path, or a template of paths. */
export const pathProblem: Problem = (value) => {
  const parts = value.split("/");
  // Slashes at both ends do not count.
  const segments = parts.slice(
    parts.findIndex((part) => part !== ""),
    parts.findLastIndex((part) => part !== "") + 1,
  );
  const isTemplate = templates.some((template) => value.includes(template));
  let last = false;
  for (const segment of segments) {
    if (templates.includes(segment)) {
      if (last) return "must have {**} as its last operator";
      last = segment === "{**}";
    } else if (/[{}]/.test(segment)) return "may have braces only in the operators {*} and {**}, which stand alone";
    else if (isTemplate && !pathSegment.test(segment)) {
      return `must be a template of paths, and its part ${JSON.stringify(segment)} cannot be`;
    }
  }
  return undefined;
};
