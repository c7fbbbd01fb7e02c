/**
 * Prints the path of kwok (`test/kubernetes/kwok`), which plays the kubelets of nodes that are none, building it first if need be:
 * some minutes on two cores.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { printGoProgram } from "./go.ts";

const source = join(import.meta.dirname, "..", "test", "kubernetes", "kwok");
const inputs = ["go.mod", "go.sum"].map((name) => readFileSync(join(source, name), "utf8"));
const [, version] = /sigs\.k8s\.io\/kwok v(\S+)/.exec(inputs[0] ?? "") ?? [];
if (version === undefined) throw new Error(`${source}/go.mod requires no version of sigs.k8s.io/kwok`);

await printGoProgram({
  title: `kwok ${version}`,
  source,
  package: "sigs.k8s.io/kwok/cmd/kwok",
  flags: ["-trimpath", "-ldflags=-s -w"],
  folder: `kwok-${version}`,
  file: "kwok",
  inputs,
});
