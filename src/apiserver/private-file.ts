import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { WeftError } from "#base/errors.ts";

/**
 * Writes a file that only its owner may read (0600, in a folder of 0700), in one step: whoever reads it gets the old
 * content or the new, after a crash too.
 * @throws WeftError `Unavailable`.
 */
export function writePrivate(path: string, content: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const draft = `${path}.new`;
    const file = openSync(draft, "w", 0o600);
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (error) {
    throw new WeftError("Unavailable", `cannot write ${path}`, error);
  }
}
