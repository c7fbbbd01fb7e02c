import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";

/** Brings a cluster's actual state to the wanted one, object by object. */
export interface Controller {
  /** As logs name it. */
  readonly name: string;
  /** Keys worked on at once; 4 unless told. */
  readonly concurrency?: number;
  /** Watches what can make work and says whose turn it is. Called once, before the work begins. */
  readonly watch: (add: (key: string) => void) => void;
  /** Brings one object in order, from scratch each time. A number returned asks for another turn after so many milliseconds. */
  readonly work: (key: string) => Promise<number | void>;
}

/** Another writer was faster, or the local copy was old: the next turn sees what is. */
const races: ReadonlySet<string> = new Set(["Conflict", "AlreadyExists", "NotFound"]);

/** Runs a controller until the signal aborts, then waits for the work in hand. */
export async function runController(
  controller: Controller,
  clock: Clock,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const log = logger.with({ controller: controller.name });
  const queue = new WorkQueue({
    clock,
    work: async (key) => controller.work(key),
    failed: (key, error) => {
      const fields = { key, error: messageOf(error) };
      if (races.has(codeOf(error))) log.debug("lost a race; trying again", fields);
      else log.warn("failed; trying again", fields);
    },
    ...(controller.concurrency === undefined ? {} : { concurrency: controller.concurrency }),
  });
  controller.watch((key) => queue.add(key));
  await queue.run(signal);
}

/** The namespace and name of a key that `keyOf` made. */
export function nameOf(key: string): { readonly namespace: string; readonly name: string } {
  const at = key.indexOf("/");
  return { namespace: key.slice(0, at), name: key.slice(at + 1) };
}
