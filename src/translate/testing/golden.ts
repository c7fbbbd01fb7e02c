import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { stringify } from "yaml";
import type { EncodedResource } from "#proto/encoded.ts";
import { resourceJson } from "./mesh.ts";

/** The file of a case that is not compared. */
export const inputFile = "input.yaml";

/** Resources as a YAML list by their names. */
export function yamlOf(resources: ReadonlyMap<string, EncodedResource>): string {
  const sorted = [...resources.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const json = sorted.map((resource) => {
    const { "@type": _type, ...rest } = resourceJson(resource);
    return rest;
  });
  return stringify(json, { sortMapEntries: true, lineWidth: 120, aliasDuplicateObjects: false });
}

/**
 * Asserts that the files of a case's folder are these, and no others. With `WEFT_GOLDEN=write` in the environment the
 * files are written first and stale ones removed.
 */
export function expectGolden(directory: string, files: ReadonlyMap<string, string>): void {
  if (process.env["WEFT_GOLDEN"] === "write") {
    for (const file of readdirSync(directory)) {
      if (file !== inputFile && !files.has(file)) rmSync(join(directory, file));
    }
    for (const [file, text] of files) writeFileSync(join(directory, file), text);
  }
  const expected = readdirSync(directory).filter((file) => file !== inputFile);
  expect([...files.keys()].toSorted()).toEqual(expected.toSorted());
  for (const [file, text] of files) expect(text).toBe(readFileSync(join(directory, file), "utf8"));
}
