/** Prints the folder of the programs in `bpf/`, compiled for this machine, building them first if need be: a few seconds, with clang. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "./wheel.ts";

const source = join(import.meta.dirname, "..", "bpf");
const files = readdirSync(source).filter((name) => /\.[ch]$/.test(name));
const machine = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" }[process.arch as string] ?? "";
const clang = ["clang", "-O2", "-Wall", "-Wextra", "-Werror"];
const commands = [
  [
    ...clang,
    "-Wno-unused-parameter",
    "-g",
    "--target=bpf",
    "-mcpu=v3",
    `-I/usr/include/${machine}`,
    "-c",
    "hijack.bpf.c",
    "-o",
  ],
  [...clang, "-static", ...files.filter((name) => /^(?!.*\.bpf\.c$).*\.c$/.test(name)), "-lbpf", "-lelf", "-lz", "-o"],
] as const;
const outputs = ["hijack.bpf.o", "weft-hijack"] as const;

const hash = createHash("sha256").update(JSON.stringify(commands));
for (const name of files) hash.update(name).update(readFileSync(join(source, name)));
const folder = join(cacheFolder, `bpf-${hash.digest("hex").slice(0, 12)}`);

try {
  if (!existsSync(folder)) {
    const made = mkdtempSync(join(cacheFolder, "bpf-new-"));
    for (const [at, [program = "", ...words]] of commands.entries())
      execFileSync(program, [...words, join(made, outputs[at] ?? "")], { cwd: source, stdio: ["ignore", 2, 2] });
    try {
      renameSync(made, folder);
    } catch (error) {
      // Somebody else was faster, with the same.
      if (!existsSync(folder)) throw error;
    }
  }
  console.log(folder);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.error("bpf/ needs Debian's packages clang, libbpf-dev, libelf-dev and zlib1g-dev");
  process.exit(1);
}
