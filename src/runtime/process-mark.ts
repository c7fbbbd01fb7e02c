import { readlinkSync } from "node:fs";
import { WeftError } from "#base/errors.ts";
import { bootId, identityOf } from "./identity.ts";

/** In what a process id and the time of a start mean something: one start of one machine, and two kinds of its kernel's namespaces. */
function scope(): string {
  if (readlinkSync("/proc/self") !== String(process.pid))
    throw new WeftError("FailedPrecondition", "/proc is that of other processes");
  return [bootId(), readlinkSync("/proc/self/ns/pid"), readlinkSync("/proc/self/ns/time")].join("/");
}

/**
 * By what processes of the same machine and the same process namespace find out whether one has ended; undefined where the kernel does
 * not tell all that this needs.
 */
export function processMark(pid: number = process.pid): string | undefined {
  try {
    const own = identityOf(pid);
    return own && `${scope()}/${own.pid}/${own.startTicks}`;
  } catch {
    return undefined;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Whatever else is answered, the process is there.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/**
 * Whether the process with this mark has ended for certain, with all its threads. Of a process elsewhere that is not known here; one
 * that its parent has not asked about yet counts as if it ran.
 */
export function hasEnded(mark: string): boolean {
  const [, place = "", pid = "", ticks = ""] = /^(.+)\/(\d+)\/(\d+)$/.exec(mark) ?? [];
  try {
    if (place === "" || place !== scope()) return false;
    if (!exists(Number(pid))) return true;
    // Another process may have its id by now; where its start cannot be read, it may be the same.
    const now = identityOf(Number(pid));
    return now !== undefined && now.startTicks !== Number(ticks);
  } catch {
    return false;
  }
}

/** The signs of this process, by which others see that it has ended, and it that others have. */
export function ownProcess(): { readonly mark: string | undefined; readonly hasEnded: (mark: string) => boolean } {
  return { mark: processMark(), hasEnded };
}
