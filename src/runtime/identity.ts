import { readFileSync } from "node:fs";

/** A process that cannot be mistaken for a later one with the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the machine's start to the process's, from `/proc/PID/stat`. */
  readonly startTicks: number;
  /** Id of the machine's start, from `/proc/sys/kernel/random/boot_id`. */
  readonly boot: string;
}

/** Id of the machine's current start. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

interface Stat {
  readonly state: string;
  readonly startTicks: number;
}

function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in brackets and may hold blanks and brackets itself.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

/** The identity of a process that runs now, or undefined. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const stat = statOf(pid);
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks, boot: bootId() };
}

/** Whether exactly this process still runs; one that has ended and waits for its parent does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = statOf(identity.pid);
  if (stat === undefined || stat.state === "Z" || stat.state === "X") return false;
  return stat.startTicks === identity.startTicks && identity.boot === bootId();
}

/**
 * Sends a signal to exactly this process, or to its group as well.
 * @returns whether it was there.
 */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals, group = false): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(group ? -identity.pid : identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}
