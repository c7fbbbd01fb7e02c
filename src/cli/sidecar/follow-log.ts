import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";

/** What is needed to follow a log. */
export interface FollowOptions {
  /** The end of the log now. */
  readonly read: () => Promise<string>;
  readonly write: (text: string) => void;
  /** Takes why the log cannot be read now. */
  readonly complain: (text: string) => void;
  readonly clock: Clock;
  /** Milliseconds between two looks. */
  readonly everyMs: number;
  /** Lines that are written of what is there at first. */
  readonly first: number;
}

/** Why a log may be there again later: its process is started again, or the control plane is. */
const passing: ReadonlySet<string> = new Set(["Unavailable", "DeadlineExceeded"]);

/** Lines of a log's end that did not stand at its end before; all of them where it has nothing in common with that. */
export function newLines(before: readonly string[], now: readonly string[]): readonly string[] {
  for (const from of before.keys()) {
    const common = before.length - from;
    if (common <= now.length && now.slice(0, common).every((line, at) => line === before[from + at])) {
      return now.slice(common);
    }
  }
  return now;
}

/** Writes the end of a log, and what is added to it, until the signal aborts. @throws WeftError when it cannot be read any more. */
export async function followLog(options: FollowOptions, signal: AbortSignal): Promise<void> {
  const { read, write, complain, clock, everyMs, first } = options;
  let [before, problem]: [readonly string[] | undefined, string] = [undefined, ""];
  while (!signal.aborted) {
    try {
      const now = (await read()).split(/(?<=\n)/).filter((line) => line !== "");
      const added = before ? newLines(before, now) : now.slice(Math.max(0, now.length - first));
      if (added.length > 0) write(added.join(""));
      [before, problem] = [now, ""];
    } catch (error) {
      if (!passing.has(codeOf(error))) throw error;
      if (messageOf(error) !== problem) complain(`${messageOf(error)}\n`);
      problem = messageOf(error);
    }
    await clock.sleep(everyMs, signal).catch(() => undefined);
  }
}
