import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { mesh } from "../weft/mesh.ts";
import { schemaPaths } from "../testing/paths.ts";
import { istioRelease } from "./common.ts";

/** Members of a Mesh that Istio's MeshConfig does not have. */
const own =
  /^spec(\.clusters\[\]|\.discovery|\.forgetCallsAfter|\.hijack|\.profile|\.protocols(\..*)?|\.meshNetworks.*|\.(mode|version)|\.(canary|quotas|standAlone)(\..*)?)?$/;

test(`a Mesh has no member that the MeshConfig of Istio ${istioRelease} lacks`, () => {
  const file = new URL(`testdata/mesh-config-${istioRelease}.txt`, import.meta.url);
  const listed = new Set(readFileSync(file, "utf8").trim().split("\n"));
  const paths = schemaPaths(mesh).filter((path) => path.startsWith("spec") && !own.test(path));
  expect(listed.size).toBeGreaterThan(500);
  expect(paths.length).toBeGreaterThan(100);
  expect(paths.map((path) => path.replace(/^spec\./, "MeshConfig ")).filter((path) => !listed.has(path))).toEqual([]);
});
