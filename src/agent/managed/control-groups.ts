import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WeftError, messageOf } from "#base/errors.ts";

/** A control group of a Pod in one hierarchy, as a folder. */
export type ControlGroup = string;

const mounted = "/sys/fs/cgroup";

/** The kubelet's names: `pod1b4e28ba-2fa1-11d2-883f-0016d3cca427`, and with systemd `kubepods-pod1b4e28ba_2fa1_....slice`. */
const podName = /pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?$/;

/** The group of Envoy below its Pod's: a group with controllers has no processes of its own in version 2. */
const proxyGroup = "weft-proxy";

interface Membership {
  readonly controllers: string;
  readonly path: string;
}

/** Reads `/proc/PID/cgroup`. */
function memberships(text: string): readonly Membership[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, controllers = "", ...path] = line.split(":");
      return { controllers, path: path.join(":") };
    });
}

/** The Pod that a process is of, by what `/proc/PID/cgroup` says; undefined for none. An Envoy that we put there is no process of it. */
export function podOfGroups(text: string): string | undefined {
  for (const { path } of memberships(text)) {
    const parts = path.split("/");
    if (parts.includes(proxyGroup)) return undefined;
    const found = parts.map((part) => podName.exec(part)?.[1]).find((uid) => uid !== undefined);
    if (found !== undefined) return found.replaceAll("_", "-");
  }
  return undefined;
}

function hierarchy(controllers: string): string | undefined {
  const name = controllers.replace(/^name=/, "");
  // Version 2 alone is mounted at the top, and beside version 1 in a folder of its own.
  const folder = name === "" && !existsSync(join(mounted, "unified")) ? mounted : join(mounted, name || "unified");
  return existsSync(join(folder, "cgroup.procs")) ? folder : undefined;
}

/** The groups of the whole Pod, one for each hierarchy that has one. */
export function groupsOfPod(text: string, uid: string): readonly ControlGroup[] {
  const groups = memberships(text).flatMap(({ controllers, path }) => {
    const parts = path.split("/");
    const at = parts.findIndex((part) => podName.exec(part)?.[1]?.replaceAll("_", "-") === uid);
    const top = hierarchy(controllers);
    return at === -1 || top === undefined ? [] : [join(top, ...parts.slice(0, at + 1))];
  });
  return [...new Set(groups)];
}

/** How deep below a hierarchy's top a kubelet has its Pods: below a root of its own, its own name and a class of service. */
const depth = 5;

function groupBelow(folder: string, uid: string, levels: number): ControlGroup | undefined {
  const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of entries) {
    const pod = podName.exec(name)?.[1]?.replaceAll("_", "-");
    if (pod === uid) return join(folder, name);
    const found = pod === undefined && levels > 1 ? groupBelowOrGone(join(folder, name), uid, levels - 1) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Groups come and go while they are looked through. */
function groupBelowOrGone(folder: string, uid: string, levels: number): ControlGroup | undefined {
  try {
    return groupBelow(folder, uid, levels);
  } catch {
    return undefined;
  }
}

/** The groups of a Pod of which no process runs yet: a kubelet makes them before it has the Pod's network made. */
export function groupsMade(uid: string, top = mounted): readonly ControlGroup[] {
  // Controllers that are mounted together have two names.
  const tops = existsSync(join(top, "cgroup.procs"))
    ? [top]
    : readdirSync(top, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? [join(top, entry.name)] : [],
      );
  return tops.flatMap((folder) => groupBelowOrGone(folder, uid, depth) ?? []);
}

/** Files by which a process enters the groups of the node's first process: there it lives as long as it wants, whoever started it. */
export function nodeGroups(): readonly string[] {
  const found = memberships(readFileSync("/proc/1/cgroup", "utf8")).flatMap(({ controllers, path }) => {
    const top = hierarchy(controllers);
    return top === undefined ? [] : [join(top, path, "cgroup.procs")];
  });
  return [...new Set(found)].filter((file) => existsSync(file));
}

/**
 * Files by which a process enters the groups of the node's first process in those hierarchies in which a Pod has none yet: in its starter's
 * it would end with that. A kubelet leaves out the one of devices, which comes with the Pod's first container.
 */
export function nodeGroupsBeside(groups: readonly ControlGroup[]): readonly string[] {
  if (existsSync(join(mounted, "cgroup.procs"))) return groups.length > 0 ? [] : nodeGroups();
  const hierarchyOf = (path: string): string | undefined => path.slice(mounted.length + 1).split("/")[0];
  const own = new Set(groups.map(hierarchyOf));
  return nodeGroups().filter((file) => !own.has(hierarchyOf(file)));
}

/** In version 1 a group of processors has none before it is told which. */
function inherit(parent: string, child: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const own = join(child, file);
    if (!existsSync(own) || readFileSync(own, "utf8").trim() !== "") continue;
    const value = readFileSync(join(parent, file), "utf8").trim();
    if (value !== "") writeFileSync(own, value);
  }
}

/**
 * Makes the groups of a Pod's Envoy below the Pod's own, whose limits hold for it then.
 * @returns the files that a process enters them by.
 * @throws WeftError `Unavailable` when the Pod's groups are gone.
 */
export function proxyGroups(groups: readonly ControlGroup[]): readonly string[] {
  return groups.map((group) => {
    const own = join(group, proxyGroup);
    try {
      if (!existsSync(group)) throw new Error("it is gone");
      mkdirSync(own, { recursive: true });
      inherit(group, own);
    } catch (error) {
      throw new WeftError("Unavailable", `the Pod's control group ${group}: ${messageOf(error)}`, error);
    }
    return join(own, "cgroup.procs");
  });
}
