import type { StringMatch } from "#api/istio/http-match.ts";
import { create } from "@bufbuild/protobuf";
import { type RegexMatcher, RegexMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/regex_pb.js";
import { type StringMatcher, StringMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/string_pb.js";

/** An RE2 expression as Envoy takes it. */
export function regexMatcher(regex: string): RegexMatcher {
  return create(RegexMatcherSchema, { regex });
}

/**
 * Whether a match asks only that the name is there: nothing is said of the value, or it is the metacharacter `*`, which
 * is no regular expression.
 */
export function matchesPresence(match: StringMatch): boolean {
  return match.regex === "*" || (match.exact === undefined && match.prefix === undefined && match.regex === undefined);
}

/** Istio's `StringMatch` as Envoy's matcher; undefined when it only asks for presence. */
export function stringMatcher(match: StringMatch): StringMatcher | undefined {
  if (match.exact !== undefined) {
    return create(StringMatcherSchema, { matchPattern: { case: "exact", value: match.exact } });
  }
  if (match.prefix !== undefined) {
    return create(StringMatcherSchema, { matchPattern: { case: "prefix", value: match.prefix } });
  }
  if (match.regex === undefined || match.regex === "*") return undefined;
  return create(StringMatcherSchema, { matchPattern: { case: "safeRegex", value: regexMatcher(match.regex) } });
}
