/** A run of tests that takes longer than it may ends, fails, and says which files took longest. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { limitVariable, limitWords } from "../kubernetes/time-limit.ts";

const root = join(import.meta.dirname, "../..");

test("the files that took longest are named, longest first, and those that run say so", () => {
  const took = (file: string, tookMs: number, ended = true) => ({ file, tookMs, ended });
  const files = ["b", "c", "d", "e", "f"].map((file, at) => took(file, 10_000 - at));
  expect(limitWords(2_100_000, [took("short", 10), ...files, took("a", 95_400, false)])).toBe(
    "the tests took longer than 35 min 0 s, the limit of WEFT_TEST_MINUTES; the files that took longest:\n" +
      "  a 1 min 35 s so far\n  b 10 s\n  c 10 s\n  d 10 s\n  e 10 s\n",
  );
});

test("at the limit no further test begins, and the run has failed though what ran has passed", () => {
  const folder = mkdtempSync(join(root, "build/time-limit-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const config = { test: { globals: true, globalSetup: [join(root, "test/kubernetes/time-limit.ts")], pool: "forks" } };
  writeFileSync(join(folder, "vitest.config.mjs"), `export default ${JSON.stringify(config)};\n`);
  // The first test ends when the run is ended, whenever that is, and the second would write what is looked for.
  writeFileSync(
    join(folder, "slow.test.mjs"),
    `test("runs", async ({ signal }) => {
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }, 100_000);
    test("begins never", () => console.log("it has begun"));\n`,
  );
  const argv = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--root", folder, "--no-color"];
  const env = { ...process.env, [limitVariable]: "0.1" };
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { cwd: folder, env, encoding: "utf8" });
  expect(stderr).toContain(`the tests took longer than 6 s, the limit of ${limitVariable}`);
  expect(stdout).not.toContain("it has begun");
  expect(status).toBe(1);
}, 120_000);
