import type { MetadataMatcher } from "#proto/gen/envoy/type/matcher/v3/metadata_pb.js";
import type { StringMatcher } from "#proto/gen/envoy/type/matcher/v3/string_pb.js";
import { jwtFilterName, payloadKey } from "../authentication/names.ts";
import { metadataMatcher, textValue } from "../metadata-match.ts";
import { someText, textMatcher } from "./values.ts";

function textClaim(name: string, value: StringMatcher): MetadataMatcher {
  return metadataMatcher(jwtFilterName, [payloadKey, name], textValue(value));
}

/** A beginning or an end of a text; an empty one is any text. */
function part(pattern: "prefix" | "suffix", text: string): StringMatcher {
  return text === "" ? someText : textMatcher(pattern, text);
}

function exact(text: string): StringMatcher {
  return textMatcher("exact", text);
}

/** What issuer and subject of a token must be for a principal, `ISSUER/SUBJECT` with a wildcard at one of its ends. */
function principalParts(principal: string): readonly [issuer: StringMatcher, subject: StringMatcher] {
  // Issuers may be URLs: the last slash divides.
  const slash = principal.lastIndexOf("/");
  const [issuer, subject] = [principal.slice(0, Math.max(slash, 0)), principal.slice(slash + 1)];
  if (principal === "*") return [someText, someText];
  if (principal.startsWith("*")) {
    if (slash < 0) return [someText, part("suffix", principal.slice(1))];
    return [part("suffix", issuer.slice(1)), exact(subject)];
  }
  if (principal.endsWith("*")) {
    if (slash < 0) return [part("prefix", principal.slice(0, -1)), someText];
    return [exact(issuer), part("prefix", subject.slice(0, -1))];
  }
  return slash < 0 ? [exact(principal), exact("")] : [exact(issuer), exact(subject)];
}

/** The claims that a token must have for a principal; both. */
export function principalClaims(principal: string): readonly [MetadataMatcher, MetadataMatcher] {
  const [issuer, subject] = principalParts(principal);
  return [textClaim("iss", issuer), textClaim("sub", subject)];
}

/** The path of a claim in brackets: `[group][id]` is that of `id` within `group`. */
export function bracketedPath(text: string): readonly string[] {
  const nested = [...text.matchAll(/\[([^[\]]+)\]/g)];
  const whole = nested.map(([each]) => each).join("") === text;
  return whole && nested.length > 0 ? nested.map(([, name = ""]) => name) : [text.slice(1, -1)];
}
