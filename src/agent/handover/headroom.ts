import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { WeftError } from "#base/errors.ts";

/** Where the kernel tells of processes and groups. */
export interface MemoryPlaces {
  readonly processes: string;
  readonly groups: string;
}

const kernel: MemoryPlaces = { processes: "/proc", groups: "/sys/fs/cgroup" };

/** How much more than the process before another one may take, and on top of that. */
const [share, extra] = [1.2, 8 << 20];

const mebibytes = (bytes: number): string => `${Math.round(bytes / (1 << 20))} MiB`;

function numberOf(path: string): number | undefined {
  try {
    const value = Number(readFileSync(path, "utf8").trim());
    return Number.isFinite(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function field(path: string, name: string): number {
  const line = readFileSync(path, "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${name} `) || each.startsWith(`${name}:`));
  return Number(/\d+/.exec(line?.slice(name.length) ?? "")?.[0] ?? 0);
}

/** Files of a group by the hierarchy's version. */
const files = {
  one: { top: "memory", limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", idle: "total_inactive_file" },
  two: { top: "", limit: "memory.max", used: "memory.current", idle: "inactive_file" },
};

/** Bytes that a group may still take; undefined where it has no limit. What the kernel can take back at once counts as free. */
function freeOf(group: string, { limit, used, idle }: (typeof files)["one"]): number | undefined {
  const [most, now] = [numberOf(join(group, limit)), numberOf(join(group, used))];
  if (most === undefined || now === undefined) return undefined;
  return most - now + field(join(group, "memory.stat"), idle);
}

/** The tightest of all the groups that a process is in, as bytes that may still be taken there. */
function tightest(pid: number, { processes, groups }: MemoryPlaces): { free: number; where: string } {
  let found = { free: field(join(processes, "meminfo"), "MemAvailable") * 1024, where: "the machine" };
  for (const line of readFileSync(join(processes, String(pid), "cgroup"), "utf8").split("\n")) {
    const [, controllers = "", ...rest] = line.split(":");
    const version = controllers.split(",").includes("memory") ? files.one : controllers === "" ? files.two : undefined;
    if (version === undefined) continue;
    const top = join(groups, version.top);
    for (let path = rest.join(":"); path !== "" && path !== "." && path !== "/"; path = dirname(path)) {
      const group = join(top, path);
      if (!existsSync(group)) continue;
      const free = freeOf(group, version);
      if (free !== undefined && free < found.free) found = { free, where: `the control group ${path}` };
    }
  }
  return found;
}

/**
 * Proves that beside a process another one like it has memory enough.
 * @throws WeftError `ResourceExhausted` where it has not.
 */
export function proveHeadroom(pid: number, places: MemoryPlaces = kernel): void {
  const held = field(join(places.processes, String(pid), "status"), "RssAnon") * 1024;
  const needed = held * share + extra;
  const { free, where } = tightest(pid, places);
  if (free >= needed) return;
  const why = `${where} has ${mebibytes(Math.max(free, 0))} left, and a second Envoy beside this one may take ${mebibytes(needed)}`;
  throw new WeftError("ResourceExhausted", `memory for two: ${why}`);
}
