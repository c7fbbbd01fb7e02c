import { readFileSync } from "node:fs";

/** What a process has used, and holds. */
export interface Usage {
  /** Milliseconds of CPU since it started. */
  readonly cpuMs: number;
  readonly memoryBytes: number;
}

/** The kernel tells programs of time in hundredths of a second (USER_HZ). */
const tickMs = 10;

/** What a process uses, by the kernel's word; undefined for one that is gone. */
export function usageOf(pid: number): Usage | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in brackets and may hold blanks and brackets itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [, kilobytes = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return { cpuMs: (Number(fields[11]) + Number(fields[12])) * tickMs, memoryBytes: Number(kilobytes) * 1024 };
  } catch {
    return undefined;
  }
}
