/** The benchmark's own programs in C: a workload that calls, and one that is called. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../../setup/wheel.ts";

const source = import.meta.dirname;
const names = ["load", "serve"] as const;
const compiler = ["clang", "-O2", "-Wall", "-Wextra", "-Werror"] as const;

/** @returns the folder of `load` and `serve`, compiled for this machine. */
export function builtPrograms(): string {
  const hash = createHash("sha256").update(JSON.stringify(compiler));
  for (const file of ["http.h", ...names.map((name) => `${name}.c`)]) hash.update(readFileSync(join(source, file)));
  const folder = join(cacheFolder, `bench-dataplane-${hash.digest("hex").slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cacheFolder, { recursive: true });
  const made = mkdtempSync(join(cacheFolder, "bench-dataplane-new-"));
  const [program, ...words] = compiler;
  for (const name of names)
    execFileSync(program, [...words, join(source, `${name}.c`), "-o", join(made, name)], { stdio: "inherit" });
  try {
    renameSync(made, folder);
  } catch (error) {
    // Somebody else was faster, with the same.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
