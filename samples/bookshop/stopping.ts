import { log } from "./instance.ts";
import type { Settings } from "./instance.ts";

/** Milliseconds that work in progress has to finish once nothing new is accepted. */
const finishMs = 10_000;

/** Whether this process has been asked to stop. */
export interface Stopping {
  readonly begun: boolean;
}

/**
 * Ends the process well when it gets SIGTERM or SIGINT. For a short while it goes on serving, already telling its callers not to
 * come back (`Stopping.begun`), because they learn of its end at the same time as it does; then it accepts nothing more,
 * finishes what it has, and exits.
 * @param close stops accepting; resolves when the last work is done.
 */
export function stopWell({ instance, drainMs }: Settings, close: () => Promise<void>): Stopping {
  const stopping = { begun: false };
  const stop = async (): Promise<void> => {
    if (stopping.begun) return;
    stopping.begun = true;
    log(instance, "stopping");
    await new Promise((resolve) => {
      setTimeout(resolve, drainMs);
    });
    const late = setTimeout(() => {
      log(instance, "stopped with work unfinished");
      process.exit(1);
    }, finishMs);
    await close();
    clearTimeout(late);
    log(instance, "stopped");
    process.exit(0);
  };
  process.on("SIGTERM", () => void stop());
  process.on("SIGINT", () => void stop());
  return stopping;
}
