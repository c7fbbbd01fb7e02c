import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { goldenFiles, inputFile, yamlOf } from "../testing/golden.ts";
import { resourcesOf } from "../proxy-resources.ts";
import { meshOf } from "../testing/mesh.ts";

const folder = join(import.meta.dirname, "testdata");

// One case a concern. Each of these concerns is also tried on real traffic, in test/behaviour.
describe("golden cases of routes", () => {
  it.each(readdirSync(folder))("%s", (name) => {
    const directory = join(folder, name);
    const mesh = meshOf(readFileSync(join(directory, inputFile), "utf8"));
    const { route } = resourcesOf(mesh.translator, mesh.node);
    const files = new Map([["routes.yaml", yamlOf(route)]]);
    expect(files).toEqual(goldenFiles(directory, files));
  });
});
