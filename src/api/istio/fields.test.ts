import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { kinds } from "../kinds.ts";
import { schemaPaths } from "../testing/paths.ts";
import { istioRelease } from "./common.ts";

test(`the schemas have every field of Istio ${istioRelease}, and no other`, () => {
  const file = new URL(`testdata/fields-${istioRelease}.txt`, import.meta.url);
  const listed = readFileSync(file, "utf8").trim().split("\n");
  const own = kinds
    .filter(({ group }) => group.endsWith(".istio.io"))
    .flatMap((kind) => schemaPaths(kind).map((path) => `${kind.kind} ${path}`));
  expect(listed.length).toBeGreaterThan(800);
  expect(own.toSorted()).toEqual(listed.toSorted());
});
