import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import type { EncodedResource } from "#proto/encoded.ts";
import { meshOf, type ProxyResources, resourceJson, resourcesOf } from "./testing/mesh.ts";
import { validate } from "./testing/validate.ts";

const folder = join(import.meta.dirname, "testdata");
const writing = process.env["WEFT_GOLDEN"] === "write";

/** Output files of a case; what a file would hold nothing of is not written. */
function outputs(resources: ProxyResources): ReadonlyMap<string, string> {
  const files: readonly (readonly [string, ReadonlyMap<string, EncodedResource>])[] = [
    ["clusters.yaml", resources.cluster],
    ["endpoints.yaml", resources.endpoints],
    ["listeners.yaml", resources.listener],
    ["routes.yaml", resources.route],
    ["names.yaml", resources.nameTable],
  ];
  const texts = files
    .filter(([, all]) => all.size > 0)
    .map(([file, all]) => {
      const sorted = [...all.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
      const json = sorted.map((resource) => {
        const { "@type": _type, ...rest } = resourceJson(resource);
        return rest;
      });
      return [file, stringify(json, { sortMapEntries: true, lineWidth: 120, aliasDuplicateObjects: false })] as const;
    });
  return new Map(texts);
}

function prune(directory: string, kept: ReadonlyMap<string, string>): void {
  for (const file of readdirSync(directory)) {
    if (file !== "input.yaml" && !kept.has(file)) rmSync(join(directory, file));
  }
}

const cases = readdirSync(folder).filter((name) => existsSync(join(folder, name, "input.yaml")));

describe("golden cases", () => {
  it.each(cases)("%s", async (name) => {
    const directory = join(folder, name);
    const mesh = meshOf(readFileSync(join(directory, "input.yaml"), "utf8"));
    const resources = resourcesOf(mesh, mesh.node);
    const files = outputs(resources);
    if (writing) {
      prune(directory, files);
      for (const [file, text] of files) writeFileSync(join(directory, file), text);
    }
    const expected = readdirSync(directory).filter((file) => file !== "input.yaml");
    expect([...files.keys()].toSorted()).toEqual(expected.toSorted());
    for (const [file, text] of files) expect(text).toBe(readFileSync(join(directory, file), "utf8"));
    await validate(resources);
  });
});
