/**
 * Prints the path of Kubernetes' own programs (`test/kubernetes/program`), building them first if need be: cold in about a quarter
 * of an hour on two cores, with 4 GB of downloads and build cache.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { printGoProgram } from "./go.ts";

const source = join(import.meta.dirname, "..", "test", "kubernetes", "program");
const inputs = ["go.mod", "go.sum", "main.go"].map((name) => readFileSync(join(source, name), "utf8"));
const [version, major, minor] = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\S+)/.exec(inputs[0] ?? "")?.slice(1) ?? [];
if (version === undefined) throw new Error(`${source}/go.mod requires no version of k8s.io/kubernetes`);

/** What the programs say of themselves: Kubernetes sets these variables when it is linked. */
const said = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
const linked = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].flatMap((name) =>
  Object.entries(said).map(([variable, value]) => `-X ${name}.${variable}=${value}`),
);
await printGoProgram({
  title: `Kubernetes ${version}`,
  source,
  package: ".",
  flags: ["-trimpath", `-ldflags=-s -w ${linked.join(" ")}`],
  folder: `kubernetes-${version.slice(1)}`,
  file: "kubernetes",
  inputs,
});
