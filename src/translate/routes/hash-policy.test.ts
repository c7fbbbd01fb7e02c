import { expect, test } from "vitest";
import { hashPolicies } from "./hash-policy.ts";

test.each([
  { httpHeaderName: "" },
  { httpQueryParameterName: "" },
  { httpCookie: { name: "", ttl: "0s" } },
  {},
  undefined,
])("nothing to hash: %j", (hash) => {
  expect(hashPolicies(hash)).toEqual([]);
});
