/** What a process and all that it started have used, as Linux tells it. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { systemClock } from "#base/clock.ts";

/** Use of a whole tree of processes. */
export interface TreeUse {
  /** Milliseconds on a CPU, user and system, of every thread that lives. */
  readonly cpuMs: number;
  /** Bytes resident now, and most since `resetPeak`; those of files, such as the program's, that all processes map count once. */
  readonly residentBytes: number;
  readonly peakBytes: number;
}

/** The process and its descendants. */
export function treeOf(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(treeOf)];
}

/** The first number of `schedstat` is a thread's time on a CPU in nanoseconds. */
function cpuMsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6;
}

function statusBytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024;
}

/** What a tree of processes has used so far. */
export function treeUse(pid: number): TreeUse {
  const tree = treeOf(pid);
  const statuses = tree.map((each) => readFileSync(`/proc/${each}/status`, "utf8"));
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
  const each = (field: string): readonly number[] => statuses.map((status) => statusBytes(status, field));
  const files = each("RssFile");
  const countedAgain = sum(files) - Math.max(...files);
  return {
    cpuMs: sum(tree.map(cpuMsOf)),
    residentBytes: sum(each("VmRSS")) - countedAgain,
    peakBytes: sum(each("VmHWM")) - countedAgain,
  };
}

/** Use of one process of a tree. */
export interface ProcessUse {
  /** What Weft's command line calls it, such as `discovery`. */
  readonly name: string;
  readonly cpuMs: number;
  readonly residentBytes: number;
}

/** What each process of a tree has used so far. */
export function processesOf(pid: number): readonly ProcessUse[] {
  return treeOf(pid).map((each) => {
    const args = readFileSync(`/proc/${each}/cmdline`, "utf8").split("\0");
    const name = args[args.findIndex((arg) => arg.endsWith(".ts")) + 1] ?? "";
    const residentBytes = statusBytes(readFileSync(`/proc/${each}/status`, "utf8"), "VmRSS");
    return { name, cpuMs: cpuMsOf(each), residentBytes };
  });
}

/** Bytes resident of those processes of a tree that run a program. */
export function programBytes(pid: number, program: string): number {
  const running = treeOf(pid).filter((each) => readFileSync(`/proc/${each}/comm`, "utf8").trim() === program);
  const bytes = running.map((each) => statusBytes(readFileSync(`/proc/${each}/status`, "utf8"), "VmRSS"));
  return bytes.reduce((sum, each) => sum + each, 0);
}

/** Counts peaks of memory from now on. */
export function resetPeak(pid: number): void {
  for (const each of treeOf(pid)) writeFileSync(`/proc/${each}/clear_refs`, "5");
}

/** Milliseconds in which a tree of processes that has nothing to do uses less than `idleCpuMs` of CPU. */
const idleMs = 1500;
const idleCpuMs = 40;
const settleLimitMs = 60_000;

/**
 * Waits until a tree of processes has nothing left to do.
 * @returns what it had used when it ran out of work: what it does all the time is not counted from then on.
 */
export async function settled(pid: number): Promise<TreeUse> {
  const limit = performance.now() + settleLimitMs;
  for (let [before, first] = [treeUse(pid), true]; performance.now() < limit; first = false) {
    await systemClock.sleep(idleMs);
    const now = treeUse(pid);
    // What little was left to do was done in the first while.
    if (now.cpuMs - before.cpuMs < idleCpuMs) return first ? now : before;
    before = now;
  }
  throw new Error(`process ${pid} and its children still work ${settleLimitMs / 1000} s after what they were given`);
}
