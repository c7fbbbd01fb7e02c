import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
 * The output files of a case's folder, by name. With `WEFT_GOLDEN=write` in the environment the folder is given these
 * files first, and stale ones are removed.
 */
export function goldenFiles(directory: string, made: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const outputs = (): readonly string[] => readdirSync(directory).filter((file) => file !== inputFile);
  if (process.env["WEFT_GOLDEN"] === "write") {
    for (const file of outputs()) if (!made.has(file)) rmSync(join(directory, file));
    for (const [file, text] of made) writeFileSync(join(directory, file), text);
  }
  return new Map(outputs().map((file) => [file, readFileSync(join(directory, file), "utf8")]));
}
