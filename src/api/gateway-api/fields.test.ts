import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { kinds } from "../kinds.ts";
import { schemaPaths } from "../testing/paths.ts";
import { gatewayApiGroup, gatewayApiRelease } from "./names.ts";

test(`the schemas have every field of the Gateway API ${gatewayApiRelease}, and no other`, () => {
  const file = new URL(`testdata/fields-${gatewayApiRelease}.txt`, import.meta.url);
  const listed = readFileSync(file, "utf8").trim().split("\n");
  const own = kinds
    .filter(({ group }) => group === gatewayApiGroup)
    .flatMap((kind) => schemaPaths(kind).map((path) => `${kind.kind} ${path}`));
  expect(listed.length).toBeGreaterThan(500);
  expect(own.toSorted()).toEqual(listed.toSorted());
});
