import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";

/** What waiting needs of the machine. */
export interface SyncContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Waits for the whole state, or as long as the limit allows, which is logged then.
 * @param limitMs milliseconds.
 * @throws when a state cannot be read, or with the signal's reason when it aborts first.
 */
export async function synced(
  states: readonly Promise<void>[],
  limitMs: number,
  { clock, logger }: SyncContext,
  signal: AbortSignal,
): Promise<void> {
  const read = new AbortController();
  const limit = clock.sleep(limitMs, AbortSignal.any([signal, read.signal])).then(() => {
    logger.warn("not everything has been read yet; serving what is known", { afterMs: limitMs });
    return [];
  });
  try {
    await Promise.race([Promise.all(states), limit]);
  } finally {
    read.abort();
  }
}
