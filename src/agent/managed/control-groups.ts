import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
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

/** Files by which a process enters the groups of the node's first process: there it lives as long as it wants, whoever started it. */
export function nodeGroups(): readonly string[] {
  const found = memberships(readFileSync("/proc/1/cgroup", "utf8")).flatMap(({ controllers, path }) => {
    const top = hierarchy(controllers);
    return top === undefined ? [] : [join(top, path, "cgroup.procs")];
  });
  return [...new Set(found)].filter((file) => existsSync(file));
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
