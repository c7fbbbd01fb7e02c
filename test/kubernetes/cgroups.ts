import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";

const mounted = "/sys/fs/cgroup";

/** The folders under which this machine keeps its control groups: one for each kind of resource, or one for all (version 2). */
export function cgroupHierarchies(): readonly string[] {
  if (existsSync(join(mounted, "cgroup.procs"))) return [mounted];
  return readdirSync(mounted, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(mounted, entry.name, "cgroup.procs")))
    .map(({ name }) => join(mounted, name));
}

/** Removes a control group with all below it; processes that are just ending hold theirs for a moment. */
function removeTree(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  rmdirSync(folder);
}

/** A control group of its own in every hierarchy of the machine. */
export class CgroupTree implements AsyncDisposable {
  /** Its path below each hierarchy. */
  readonly path: string;

  constructor(name: string) {
    this.path = `/${name}`;
    for (const hierarchy of cgroupHierarchies()) mkdirSync(join(hierarchy, name), { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const patience = 60_000;
    for (const hierarchy of cgroupHierarchies()) {
      const folder = join(hierarchy, this.path);
      const removed = (): boolean => {
        removeTree(folder);
        return true;
      };
      await eventually(`${folder} is removed`, removed, patience);
    }
  }
}
