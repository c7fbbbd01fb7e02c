/** Generates `src/proto/gen` from the pinned descriptors and from `proto/`: run by `make gen`. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
rmSync(join(root, "src", "proto", "gen"), { recursive: true, force: true });
run("buf", "generate", descriptors, "--template", join("setup", "buf.gen.yaml"));
run("buf", "generate", "proto", "--template", join("setup", "buf.gen.yaml"));
writeFileSync(join(root, "src", "proto", "gen", "descriptors.binpb"), withJsonNames(readFileSync(descriptors)));
