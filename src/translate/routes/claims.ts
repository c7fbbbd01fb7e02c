import type { StringMatch } from "#api/istio/http-match.ts";
import { create } from "@bufbuild/protobuf";
import type { MetadataMatcher } from "#proto/gen/envoy/type/matcher/v3/metadata_pb.js";
import { ValueMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/value_pb.js";
import { claimMatcher, textValue } from "../metadata-match.ts";
import { stringMatcher } from "./string-match.ts";

const prefix = "@request.auth.claims";

/**
 * The path of a JWT claim that a header match names, as `@request.auth.claims.group.id` or
 * `@request.auth.claims[group][id]`; undefined for a real header. Istio's "JWT claim based routing".
 */
export function claimPath(header: string): readonly string[] | undefined {
  if (!header.toLowerCase().startsWith(prefix)) return undefined;
  const rest = header.slice(prefix.length);
  if (rest.startsWith(".") && rest.length > 1) return rest.slice(1).split(".");
  if (rest.startsWith("[") && rest.endsWith("]") && rest.length > 2) return rest.slice(1, -1).split("][");
  return undefined;
}

/** The matcher of a claim in the metadata that Envoy's JWT filter leaves; undefined for a real header. */
export function routedClaim(header: string, match: StringMatch, invert: boolean): MetadataMatcher | undefined {
  const claims = claimPath(header);
  if (!claims) return undefined;
  const text = stringMatcher(match);
  const present = create(ValueMatcherSchema, { matchPattern: { case: "presentMatch", value: true } });
  return claimMatcher(claims, text ? textValue(text) : present, invert);
}
