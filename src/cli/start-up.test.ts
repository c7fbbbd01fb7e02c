import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** Files that a file loads as it starts, those that they load included. Types are not loaded. */
function loadedBy(file: string, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(file)) return found;
  found.add(file);
  const text = readFileSync(file, "utf8");
  for (const [, target = ""] of text.matchAll(/^(?:import|export)(?! type\b)[^;]*?from "([#.][^"]+)";/gm)) {
    loadedBy(target.startsWith("#") ? join(root, target.slice(1)) : join(dirname(file), target), found);
  }
  return found;
}

test("a command does not load what others are for: translation, protobuf, the servers", () => {
  const files = ["weft.ts", "operator.ts"]
    .flatMap((file) => [...loadedBy(join(root, "cli", file))])
    .map((file) => file.slice(root.length + 1));
  expect(files).toContain("cli/analysis/diff.ts");
  const rooms = new Set(files.map((file) => file.split("/")[0]));
  for (const room of ["analysis", "translate", "model", "proto", "xds", "apiserver", "store"]) {
    expect(rooms).not.toContain(room);
  }
});

test("the mesh's processes do not load the operators' commands", () => {
  const files = [...loadedBy(join(root, "cli", "weft.ts"))].map((file) => file.slice(root.length + 1));
  expect(files).toContain("cli/processes.ts");
  expect(files.filter((file) => /^(?:api|kube)\/|^cli\/(?:analysis|proxy|operator|get|apply)/.test(file))).toEqual([]);
});
