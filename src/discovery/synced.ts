import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";

/** What waiting needs of the machine. */
export interface SyncContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Waits for the whole state, or as long as the limit allows, which is logged then.
 * @param limitMs milliseconds; undefined waits as long as it takes.
 * @throws when a state cannot be read, or with the signal's reason when it aborts first.
 */
export async function synced(
  states: readonly Promise<void>[],
  limitMs: number | undefined,
  { clock, logger }: SyncContext,
  signal: AbortSignal,
): Promise<void> {
  const read = new AbortController();
  const ended = AbortSignal.any([signal, read.signal]);
  try {
    await Promise.race([Promise.all(states), limit(limitMs, clock, logger, ended)]);
  } finally {
    read.abort();
  }
}

async function limit(ms: number | undefined, clock: Clock, logger: Logger, ended: AbortSignal): Promise<void> {
  if (ms === undefined) {
    await new Promise((_, reject) => {
      ended.addEventListener("abort", () => reject(ended.reason as Error), { once: true });
    });
    return;
  }
  await clock.sleep(ms, ended);
  logger.warn("not everything has been read yet; serving what is known", { afterMs: ms });
}
