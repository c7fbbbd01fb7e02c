/** Before all tests and after them: builds Kubernetes, keeps the machine's settings, and sees to it that nothing is left behind. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cgroupHierarchies } from "./cgroups.ts";
import { cgroupPrefix, folderPrefix, run } from "./run.ts";

/** What kubelet sets for the whole machine. */
const settings = [
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
];

const settingPath = (name: string): string => join("/proc/sys", name);

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return fallback;
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Everything of this run that is still on the machine, in words. */
function leftovers(): readonly string[] {
  const processes = namesIn("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `process ${pid}: ${readOr(`/proc/${pid}/cmdline`, "").replaceAll("\0", " ")}`);
  const mounts = readOr("/proc/mounts", "")
    .split("\n")
    .map((line) => `mount ${line}`);
  const groups = cgroupHierarchies()
    .flatMap((folder) => namesIn(folder).map((name) => join(folder, name)))
    .filter((path) => path.includes(cgroupPrefix));
  const spaces = namesIn("/run/netns").filter((name) => name.includes(run));
  const folders = namesIn(tmpdir()).filter((name) => name.startsWith(folderPrefix));
  return [
    ...[...processes, ...mounts].filter((text) => text.includes(folderPrefix)),
    ...groups.map((path) => `control group ${path}`),
    ...spaces.map((name) => `network namespace ${name}`),
    ...folders.map((name) => `folder ${name}`),
  ];
}

const kept = new Map<string, string>();

/** Called by Vitest before all tests. */
export function setup(): void {
  // Tests run in children, which must know it too.
  process.env["WEFT_KUBERNETES_RUN"] = run;
  if (process.getuid?.() !== 0) throw new Error("network namespaces and containers need root: run this as root");
  execFileSync(process.execPath, ["setup/kubernetes.ts"], { stdio: ["ignore", "ignore", "inherit"] });
  for (const name of settings) kept.set(name, readFileSync(settingPath(name), "utf8"));
}

/** Called by Vitest after all tests. @throws Error that names what is left. */
export function teardown(): void {
  for (const [name, value] of kept)
    if (readFileSync(settingPath(name), "utf8") !== value) writeFileSync(settingPath(name), value);
  const left = leftovers();
  if (left.length > 0) throw new Error(`the tests left something behind:\n${left.join("\n")}`);
}
