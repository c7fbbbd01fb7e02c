import { defineConfig } from "vitest/config";

/** Files that mostly wait and measure no time: two of them run side by side. */
const patient = [
  "adopt",
  "aggregation",
  "clusters",
  "crd-sync",
  "etcd-store",
  "injection",
  "install",
  "istio-objects",
  "node",
  "servers",
  "stand-alone",
].map((name) => `test/kubernetes/${name}.test.ts`);

export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    pool: "forks",
    testTimeout: 180_000,
    hookTimeout: 300_000,
    globalSetup: ["test/kubernetes/machine.ts", "test/kubernetes/time-limit.ts"],
    setupFiles: ["setup/vitest.setup.ts"],
    allowOnly: false,
    projects: [
      { extends: true, test: { name: "patient", include: patient, maxWorkers: 2, sequence: { groupOrder: 0 } } },
      {
        extends: true,
        test: {
          name: "alone",
          include: ["test/kubernetes/**/*.test.ts"],
          exclude: patient,
          // One file at a time: each has machines' worth of processes, and says how long its users wait.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
