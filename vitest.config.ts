import { defineConfig } from "vitest/config";
import { LongestFirst } from "./setup/test-order.ts";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "samples/**/*.test.ts", "test/**/*.test.ts", "bench/**/*.test.ts"],
    exclude: ["src/proto/gen/**", "node_modules/**", "test/kubernetes/**"],
    // Processes, so that a test may change its own namespaces, signals and working directory.
    pool: "forks",
    // One more than the cores of a small machine: half of what tests do is wait.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: process.env["WEFT_SOAK"] ? 1_800_000 : 120_000,
    hookTimeout: 120_000,
    // What is waited for comes at once, but on a machine that is busy.
    expect: { poll: { timeout: 60_000 } },
    setupFiles: ["setup/vitest.setup.ts"],
    allowOnly: false,
  },
});
