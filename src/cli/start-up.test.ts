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
  const files = [...loadedBy(join(root, "cli", "weft.ts"))].map((file) => file.slice(root.length + 1));
  expect(files).toContain("cli/analysis/diff.ts");
  const rooms = new Set(files.map((file) => file.split("/")[0]));
  for (const room of ["analysis", "translate", "model", "proto", "xds", "apiserver", "store"]) {
    expect(rooms).not.toContain(room);
  }
});
