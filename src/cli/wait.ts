import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";

/** What is waited for, and for how long. */
export interface Wait {
  /** Ends the sentence "gave up waiting until ...". */
  readonly what: string;
  readonly limitMs: number;
  /** Where to look when it does not come to be. */
  readonly hint: string;
}

const pollMs = 100;

/**
 * Waits until something holds.
 * @throws WeftError `DeadlineExceeded` when it does not in time; what the signal was aborted with.
 */
export async function waitUntil(
  { what, limitMs, hint }: Wait,
  clock: Clock,
  signal: AbortSignal,
  holds: () => Promise<boolean>,
): Promise<void> {
  const from = clock.monotonic();
  while (!(await holds())) {
    if (clock.monotonic() - from > limitMs) {
      throw new WeftError("DeadlineExceeded", `gave up waiting until ${what} after ${limitMs / 1000} s; ${hint}`);
    }
    await clock.sleep(pollMs, signal);
  }
  signal.throwIfAborted();
}
