import { type Clock, systemClock } from "#base/clock.ts";

/** Milliseconds from which on a wait is a limit, such as that of a request, which a busy machine is to be given. */
const limitMs = 4_000;

/** The machine's clock, on which waits take a fraction of their time. What time it is stays as it is, and so do waits that are limits. */
export function hastyClock(times: number): Clock {
  const hasty = (ms: number): number => (ms < limitMs ? ms / times : ms);
  return {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic(),
    sleep: async (ms, signal) => systemClock.sleep(hasty(ms), signal),
    after: (ms, action) => systemClock.after(hasty(ms), action),
    every: (ms, action) => systemClock.every(hasty(ms), action),
  };
}
