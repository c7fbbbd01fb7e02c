import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { type Loaded, loadFile, type LoadOptions } from "#analysis/analyze/load.ts";
import { WeftError } from "#base/errors.ts";

const extensions: ReadonlySet<string> = new Set([".json", ".yaml", ".yml"]);

/** The files that arguments name: of a directory, all below it. `-` is standard input. */
function* filesOf(path: string, skip: (file: string) => void): Generator<string> {
  if (path === "-") return yield path;
  if (statSync(path).isDirectory()) {
    for (const name of readdirSync(path).toSorted()) yield* filesOf(join(path, name), skip);
  } else if (extensions.has(extname(path))) yield path;
  else skip(path);
}

/**
 * Reads the objects of files and directories.
 * @param skip is called with each file that is passed over for its name.
 * @throws WeftError `NotFound` that names what cannot be read.
 */
export function loadFiles(
  paths: readonly string[],
  options: LoadOptions,
  skip: (file: string) => void,
): Loaded & { readonly files: readonly string[] } {
  const loaded: Loaded[] = [];
  const files: string[] = [];
  for (const path of paths) {
    try {
      for (const file of filesOf(path, skip)) {
        files.push(file);
        loaded.push(loadFile(readFileSync(file === "-" ? 0 : file, "utf8"), file, options));
      }
    } catch (error) {
      throw new WeftError("NotFound", `cannot read ${path}`, error);
    }
  }
  return {
    files,
    objects: loaded.flatMap(({ objects }) => objects),
    problems: loaded.flatMap(({ problems }) => problems),
  };
}
