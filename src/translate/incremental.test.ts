import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apply, edit, nodes, withClusters } from "./testing/arbitrary.ts";
import { Follower, type Holdings } from "./testing/follower.ts";
import type { TestMesh } from "./testing/mesh.ts";
import { patience, runs } from "#base/testing/runs.ts";

/** Names and versions of all that a class gets. */
function versions(holdings: Holdings): unknown {
  return [...holdings].map(([type, all]) => [
    type,
    [...all].map(([name, { version }]) => `${name} ${version}`).toSorted(),
  ]);
}

function classes(mesh: TestMesh): readonly string[] {
  const uses = ["inside", "apart", "asked"] as const;
  return nodes.flatMap((each) => uses.map((use) => mesh.translator.classOf(each, use)));
}

describe("translation", () => {
  it("gives after any edits what a fresh computation gives", { timeout: patience(120_000) }, () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(edit, { minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 10 }),
        (changes) => {
          const mesh = withClusters();
          const follower = new Follower(mesh.engine, mesh.translator);
          follower.follow(classes(mesh));
          for (const change of changes) {
            mesh.engine.change(() => {
              for (const each of change) apply(mesh, each);
            });
            follower.refresh();
          }
          const fresh = withClusters();
          fresh.engine.change(() => {
            for (const each of changes.flat()) apply(fresh, each);
          });
          const incremental = follower.refresh();
          for (const [key, holdings] of new Follower(fresh.engine, fresh.translator).follow(classes(fresh))) {
            expect(versions(incremental.get(key) ?? new Map())).toEqual(versions(holdings));
          }
        },
      ),
      { numRuns: runs(40) },
    );
  });
});
