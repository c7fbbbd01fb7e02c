import fc from "fast-check";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { objectPaths } from "#api/testing/paths.ts";
import { objectsWith } from "./from-schema.ts";

/** Accepted objects that have a kind's fields. */
export interface Sweep {
  readonly objects: readonly ResourceObject[];
  /** Fields that no accepted object was found for. */
  readonly missed: readonly string[];
}

/**
 * Looks for accepted objects until each of some fields is in one, or has been tried for in vain.
 * @param paths as `schemaPaths` writes them
 * @param tries how many objects are made for one field
 */
export function sweepOf(kind: Kind, paths: readonly string[], tries: number): Sweep {
  const reached = new Set<string>();
  const objects: ResourceObject[] = [];
  const arbitraries = objectsWith(kind, paths).map((each) => fc.noBias(each));
  for (const [index, path] of paths.entries()) {
    for (let seed = 1; seed <= tries && !reached.has(path); seed++) {
      const arbitrary = arbitraries[index];
      const [object] = arbitrary ? fc.sample(arbitrary, { numRuns: 1, seed }) : [];
      const found = object ? objectPaths(kind, object) : new Set<string>();
      if (!object || !found.has(path)) continue;
      objects.push(object);
      for (const each of found) reached.add(each);
    }
  }
  return { objects, missed: paths.filter((path) => !reached.has(path)) };
}
