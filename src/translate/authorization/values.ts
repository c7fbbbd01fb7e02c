import { create } from "@bufbuild/protobuf";
import { isIPv6 } from "node:net";
import { type CidrRange, CidrRangeSchema } from "#proto/gen/envoy/config/core/v3/address_pb.js";
import { type HeaderMatcher, HeaderMatcherSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { type StringMatcher, StringMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/string_pb.js";
import { regexMatcher } from "../routes/string-match.ts";

type Pattern = "exact" | "prefix" | "suffix";

/** A text as an RE2 expression that matches it alone. */
export function escaped(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, String.raw`\$&`);
}

/** Matches a text by its whole, its beginning or its end. */
export function textMatcher(pattern: Pattern, value: string, ignoreCase = false): StringMatcher {
  return create(StringMatcherSchema, { ignoreCase, matchPattern: { case: pattern, value } });
}

/** Matches a whole text by an RE2 expression. */
export function expressionMatcher(expression: string): StringMatcher {
  return create(StringMatcherSchema, { matchPattern: { case: "safeRegex", value: regexMatcher(expression) } });
}

/** Any text but an empty one. */
export const someText: StringMatcher = expressionMatcher(".+");

/** A value of a policy: `text`, `text*`, `*text`; `*` alone is any text that is there. */
export function valueMatcher(value: string, ignoreCase = false): StringMatcher {
  if (value === "*") return someText;
  if (value.startsWith("*")) return textMatcher("suffix", value.slice(1), ignoreCase);
  if (value.endsWith("*")) return textMatcher("prefix", value.slice(0, -1), ignoreCase);
  return textMatcher("exact", value, ignoreCase);
}

/** Whether a text can be in a header; Envoy refuses names that cannot. */
export function isHeaderText(text: string): boolean {
  return !/[\0\r\n]/.test(text);
}

/** A header with a value of a policy; `*` is a header that is there, with whatever value. */
export function headerValue(name: string, value: string, ignoreCase = false): HeaderMatcher {
  return create(HeaderMatcherSchema, {
    name,
    headerMatchSpecifier:
      value === "*"
        ? { case: "presentMatch", value: true }
        : { case: "stringMatch", value: valueMatcher(value, ignoreCase) },
  });
}

/** An address, or a network as `10.1.0.0/16`. */
export function networkRange(text: string): CidrRange {
  const [addressPrefix = "", bits] = text.split("/");
  const prefixLen = Number(bits ?? (isIPv6(addressPrefix) ? 128 : 32));
  return create(CidrRangeSchema, { addressPrefix, prefixLen });
}
