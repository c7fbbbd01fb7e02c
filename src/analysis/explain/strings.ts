import { RE2JS } from "re2js";
import type { RegexMatcher } from "#proto/gen/envoy/type/matcher/v3/regex_pb.js";
import type { StringMatcher } from "#proto/gen/envoy/type/matcher/v3/string_pb.js";

/** Whether a regular expression matches a whole text, as Envoy asks it; false for one that Envoy would refuse. */
export function regexMatches({ regex }: RegexMatcher, text: string): boolean {
  try {
    return RE2JS.compile(regex).matches(text);
  } catch {
    return false;
  }
}

/** Whether a text meets a matcher: `envoy.type.matcher.v3.StringMatcher`. */
export function stringMatches({ matchPattern, ignoreCase }: StringMatcher, text: string): boolean {
  const { case: kind, value } = matchPattern;
  if (kind === "safeRegex") return regexMatches(value, text);
  if (kind === undefined || kind === "custom") return false;
  const [wanted, given] = ignoreCase ? [value.toLowerCase(), text.toLowerCase()] : [value, text];
  if (kind === "exact") return given === wanted;
  if (kind === "prefix") return given.startsWith(wanted);
  return kind === "suffix" ? given.endsWith(wanted) : given.includes(wanted);
}

const verbs = { exact: "is", prefix: "begins with", suffix: "ends with", contains: "contains" } as const;

/** A matcher in words. */
export function stringText({ matchPattern, ignoreCase }: StringMatcher): string {
  const { case: kind, value } = matchPattern;
  if (kind === "safeRegex") return `matches ${value.regex}`;
  if (kind === undefined || kind === "custom") return "meets a rule that cannot be shown";
  return `${verbs[kind]} "${value}"${ignoreCase ? " in any case" : ""}`;
}
