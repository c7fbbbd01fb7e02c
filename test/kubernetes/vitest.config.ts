import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ["test/kubernetes/**/*.test.ts"],
    pool: "forks",
    // One file at a time: each has machines' worth of processes.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 300_000,
    globalSetup: ["test/kubernetes/machine.ts"],
    setupFiles: ["setup/vitest.setup.ts"],
    allowOnly: false,
  },
});
