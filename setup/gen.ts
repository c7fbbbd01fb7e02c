/** Generates `src/proto/gen` from the pinned descriptors and from `proto/`: run by `make gen`. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withJsonNames } from "./json-names.ts";
import { releases, unpackedWheel } from "./wheel.ts";

const root = join(import.meta.dirname, "..");
const say = (line: string): void => console.log(line);
const run = (command: string, ...args: string[]): void => {
  execFileSync(command, args, { cwd: root, stdio: "inherit" });
};

mkdirSync(join(root, "build"), { recursive: true });
const wheels = releases.descriptors.map((wheel) => unpackedWheel(wheel, say));
const descriptors = join(root, "build", "descriptors.binpb");
run("python3", join("setup", "descriptors.py"), descriptors, ...wheels);
// Made beside the old code and put in its place at once, so that what runs meanwhile is not pulled away.
const [made, final] = [join(root, "build", "gen"), join(root, "src", "proto", "gen")];
rmSync(made, { recursive: true, force: true });
const generate = (input: string): void => {
  run("buf", "generate", input, "--template", join("setup", "buf.gen.yaml"), "--output", made);
};
generate(descriptors);
generate("proto");
writeFileSync(join(made, "descriptors.binpb"), withJsonNames(readFileSync(descriptors)));
rmSync(final, { recursive: true, force: true });
renameSync(made, final);
