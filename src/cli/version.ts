import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { type OutputFormat, outputOption, serialize } from "./output.ts";

interface Releases {
  readonly envoy: { readonly default: string; readonly versions: Readonly<Record<string, unknown>> };
}

const root = join(import.meta.dirname, "..", "..");

/** Weft's own version. */
export function weftVersion(): string {
  return (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string }).version;
}

/** Versions of Weft and of the Envoys that it can run, the default one first. */
function versions(): { readonly weft: string; readonly node: string; readonly envoy: readonly string[] } {
  const { envoy } = JSON.parse(readFileSync(join(root, "releases.json"), "utf8")) as Releases;
  const others = Object.keys(envoy.versions).filter((version) => version !== envoy.default);
  return { weft: weftVersion(), node: process.versions.node, envoy: [envoy.default, ...others] };
}

/** `weft version`. */
export function versionCommand(program: Command): void {
  program
    .command("version")
    .summary("print versions")
    .description("Prints the versions of Weft, of the Node that runs it, and of the Envoys that it supports.")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft version\n  weft version -o json")
    .action(({ output }: { readonly output: OutputFormat }) => {
      const found = versions();
      if (output === "json" || output === "yaml") process.stdout.write(serialize(found, output));
      else console.log(`weft ${found.weft}\nnode ${found.node}\nenvoy ${found.envoy.join(", ")}`);
    });
}
