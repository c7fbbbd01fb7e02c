/** The order in which test files run: those that take long first, or the machine would wait for one of them in the end. */
import { join } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take more than a quarter of a minute, longest first. */
const long = [
  "test/agent/root-rotation.test.ts",
  "test/demo/demo.test.ts",
  "test/kubectl/kubectl.test.ts",
  "test/agent/agent.test.ts",
  "test/behaviour/explain.test.ts",
  "test/agent/identity.test.ts",
  "test/playground/restarts.test.ts",
  "src/translate/accepted.test.ts",
  "src/translate/patches/patches.test.ts",
  "src/apiserver/fuzz.test.ts",
  "src/xds/hostile-loops.test.ts",
  "bench/growth.test.ts",
  "test/playground/playground.test.ts",
  "bench/storm.test.ts",
  "src/xds/hostile.test.ts",
  "src/xds/envoy.test.ts",
  "src/xds/server.test.ts",
  "test/kube/authority.test.ts",
  "bench/serve.test.ts",
  "test/kubectl/analyze.test.ts",
  "test/behaviour/proxy-start.test.ts",
  "test/meshes/meshes.test.ts",
  "test/behaviour/locality.test.ts",
  "samples/bookshop/bookshop.test.ts",
  "test/behaviour/envoy-filter.test.ts",
  "test/kube/members.test.ts",
  "test/kube/cluster-join.test.ts",
];

/** Vitest's own order, by what files took before or by their size, after those that are known to take long. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = new Map(long.map((name, index) => [join(this.ctx.config.root, name), index]));
    const placed = (await super.sort(files)).map((file) => ({ file, at: rank.get(file.moduleId) ?? long.length }));
    return placed.toSorted((a, b) => a.at - b.at).map(({ file }) => file);
  }
}
