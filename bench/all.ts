/**
 * Runs the benchmarks one after the other, all but those that must be named: `node bench/all.ts [NAME...]`. Each prints tables and closes with a line of
 * JSON; those lines come once more at the end, for scripts.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** The benchmarks, with the arguments that keep all of them within fifteen minutes on two cores. */
const benchmarks: Readonly<Record<string, readonly (readonly string[])[]>> = {
  engine: [[]],
  translate: [[]],
  xds: [["--changes", "3"]],
  storm: [[]],
  growth: [[]],
  envoy: [[]],
  "on-demand": [[]],
  ca: [["--seconds", "5", "--rounds", "2"]],
  security: [["--seconds", "2", "--rounds", "5"]],
};

/** Those that run only when they are named: they build Kubernetes or need compiled programs, and take longer than all others. */
const apart: typeof benchmarks = { clusters: [[]], dataplane: [[]] };
const all = { ...benchmarks, ...apart };

/** Runs one and passes on what it prints. Returns its last line. */
async function run(name: string, args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
    process.stdout.write(part);
  });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`bench/${name}.ts ended with ${code ?? "a signal"}`);
  return text.trimEnd().split("\n").at(-1) ?? "";
}

const [, , ...wanted] = process.argv;
const unknown = wanted.filter((name) => !(name in all));
if (unknown.length > 0) {
  console.error(`there is no benchmark ${unknown.join(", ")}; there are ${Object.keys(all).join(", ")}`);
  process.exit(2);
}
const results: string[] = [];
for (const [name, runs] of Object.entries(all)) {
  if (wanted.length > 0 ? !wanted.includes(name) : name in apart) continue;
  for (const args of runs) results.push(await run(name, args));
}
console.log(`[${results.join(",")}]`);
