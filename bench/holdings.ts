import { createHash } from "node:crypto";

/** What is held, a line for each resource: type, name and version. */
export function linesOf(held: ReadonlyMap<string, ReadonlyMap<string, string>>): string[] {
  return [...held].flatMap(([type, names]) => [...names].map(([name, version]) => `${type} ${name} ${version}`));
}

/** Equal sets of lines, equal digests. */
export function digestOf(lines: readonly string[]): string {
  return createHash("sha256").update(lines.toSorted().join("\n")).digest("base64url");
}
