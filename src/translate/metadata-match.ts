import { create } from "@bufbuild/protobuf";
import { type MetadataMatcher, MetadataMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/metadata_pb.js";
import type { StringMatcher } from "#proto/gen/envoy/type/matcher/v3/string_pb.js";
import { type ValueMatcher, ValueMatcherSchema } from "#proto/gen/envoy/type/matcher/v3/value_pb.js";
import { jwtFilterName, payloadKey } from "./authentication/names.ts";

/** A value that is a text. */
export function textValue(value: StringMatcher): ValueMatcher {
  return create(ValueMatcherSchema, { matchPattern: { case: "stringMatch", value } });
}

/** A value that is a list of which one element matches. */
export function listValue(value: ValueMatcher): ValueMatcher {
  return create(ValueMatcherSchema, {
    matchPattern: { case: "listMatch", value: { matchPattern: { case: "oneOf", value } } },
  });
}

/** What a filter has left in a request's metadata. */
export function metadataMatcher(
  filter: string,
  path: readonly string[],
  value: ValueMatcher,
  invert = false,
): MetadataMatcher {
  const segments = path.map((key) => ({ segment: { case: "key" as const, value: key } }));
  return create(MetadataMatcherSchema, { filter, path: segments, value, invert });
}

/** A claim of the request's token, by its path: the value itself, or a list that holds it. */
export function claimMatcher(path: readonly string[], value: ValueMatcher, invert = false): MetadataMatcher {
  const either = create(ValueMatcherSchema, {
    matchPattern: { case: "orMatch", value: { valueMatchers: [listValue(value), value] } },
  });
  return metadataMatcher(jwtFilterName, [payloadKey, ...path], either, invert);
}
