import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { EncodedResource } from "#proto/encoded.ts";
import { goldenFiles, inputFile, yamlOf } from "./testing/golden.ts";
import { type ProxyResources, resourcesOf } from "./proxy-resources.ts";
import { meshOf } from "./testing/mesh.ts";
import { refusal } from "./testing/validate.ts";

const folder = join(import.meta.dirname, "testdata");

/** Output files of a case; what a file would hold nothing of is not written. */
function outputs(resources: ProxyResources): ReadonlyMap<string, string> {
  const files: readonly (readonly [string, ReadonlyMap<string, EncodedResource>])[] = [
    ["clusters.yaml", resources.cluster],
    ["endpoints.yaml", resources.endpoints],
    ["listeners.yaml", resources.listener],
    ["routes.yaml", resources.route],
    ["names.yaml", resources.nameTable],
  ];
  return new Map(files.filter(([, all]) => all.size > 0).map(([file, all]) => [file, yamlOf(all)] as const));
}

const cases = readdirSync(folder).filter((name) => existsSync(join(folder, name, inputFile)));

describe("golden cases", () => {
  it.each(cases)("%s", async (name) => {
    const directory = join(folder, name);
    const mesh = meshOf(readFileSync(join(directory, inputFile), "utf8"));
    const resources = resourcesOf(mesh.translator, mesh.node);
    const files = outputs(resources);
    expect(files).toEqual(goldenFiles(directory, files));
    expect(await refusal(resources)).toBe("");
  });
});
