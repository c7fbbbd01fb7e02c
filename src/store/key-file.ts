import { readFileSync, statSync } from "node:fs";
import { WeftError } from "#base/errors.ts";

/** A key that records are encrypted with. */
export interface NamedKey {
  /** Stands in each record that it encrypted. */
  readonly name: string;
  /** 32 bytes. */
  readonly secret: Buffer;
}

const namePattern = /^[A-Za-z0-9._-]{1,64}$/;

function keyOf(line: string, path: string, number: number): NamedKey {
  const [name = "", text = "", ...more] = line.split(/\s+/);
  const secret = Buffer.from(text, "base64");
  if (more.length === 0 && namePattern.test(name) && secret.length === 32) return { name, secret };
  const form = "NAME SECRET, the secret being 32 bytes in base64 (openssl rand -base64 32)";
  throw new WeftError("FailedPrecondition", `line ${number} of the encryption keys ${path} is not ${form}`);
}

/**
 * Reads the keys that records are encrypted with, one a line: `NAME SECRET`. The first writes, all read. Empty lines and those
 * that begin with `#` mean nothing.
 * @throws WeftError `FailedPrecondition` for a file that is missing, readable by others, or wrong.
 */
export function readKeyFile(path: string): readonly NamedKey[] {
  let text: string;
  try {
    const mode = statSync(path).mode & 0o777;
    if ((mode & 0o077) !== 0) {
      const fix = `chmod 600 ${path}`;
      throw new WeftError("FailedPrecondition", `others can read the encryption keys ${path}: ${fix}`);
    }
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof WeftError) throw error;
    throw new WeftError("FailedPrecondition", `the encryption keys ${path} cannot be read`, error);
  }
  const lines = text.split("\n").map((line, index) => [line.trim(), index + 1] as const);
  const keys = lines
    .filter(([line]) => line !== "" && !line.startsWith("#"))
    .map(([line, number]) => keyOf(line, path, number));
  if (keys.length === 0) throw new WeftError("FailedPrecondition", `the encryption keys ${path} hold no key`);
  const names = new Set(keys.map(({ name }) => name));
  if (names.size === keys.length) return keys;
  throw new WeftError("FailedPrecondition", `the encryption keys ${path} have two keys of one name`);
}
