import type { StringMatch } from "#api/istio/http-match.ts";
import { create } from "@bufbuild/protobuf";
import { type MetadataMatcher, MetadataMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/metadata_pb.js";
import { type ValueMatcher, ValueMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/value_pb.js";
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

/** Matches a claim that is a string, or a list that holds one. */
function claimValue(match: StringMatch): ValueMatcher {
  const text = stringMatcher(match);
  const value = create(ValueMatcherSchema, {
    matchPattern: text ? { case: "stringMatch", value: text } : { case: "presentMatch", value: true },
  });
  const inList = create(ValueMatcherSchema, {
    matchPattern: { case: "listMatch", value: { matchPattern: { case: "oneOf", value } } },
  });
  return create(ValueMatcherSchema, { matchPattern: { case: "orMatch", value: { valueMatchers: [inList, value] } } });
}

/** The matcher of a claim in the metadata that Envoy's JWT filter leaves; undefined for a real header. */
export function claimMatcher(header: string, match: StringMatch, invert: boolean): MetadataMatcher | undefined {
  const claims = claimPath(header);
  if (!claims) return undefined;
  return create(MetadataMatcherSchema, {
    filter: "envoy.filters.http.jwt_authn",
    path: ["payload", ...claims].map((value) => ({ segment: { case: "key" as const, value } })),
    value: claimValue(match),
    invert,
  });
}
