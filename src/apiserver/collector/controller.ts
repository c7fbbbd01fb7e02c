import { codeOf, messageOf } from "#base/errors.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Context } from "../context.ts";
import { follow, type Observed } from "./follow.ts";

/** What an API does by itself with objects of its partition, key by key. */
export interface Controller {
  /** As logs name it. */
  readonly name: string;
  /** What can make work, each as the store names it. */
  readonly resources: readonly string[];
  /** The keys whose turn it is when an object of these was changed. */
  due(observed: Observed): Iterable<string>;
  /**
   * Brings what a key stands for in order, from scratch each time. A number returned asks for another turn after so many
   * milliseconds; `add` gives other keys a turn.
   */
  work(key: string, add: (key: string) => void): Promise<number | void>;
}

/** Runs a controller until the signal aborts, then waits for the work in hand. */
export async function runController(controller: Controller, context: Context, signal: AbortSignal): Promise<void> {
  const { store, partition, clock } = context;
  const logger = context.logger.with({ controller: controller.name });
  const queue: WorkQueue = new WorkQueue({
    clock,
    work: async (key) => controller.work(key, (other) => queue.add(other)),
    failed: (key, error) => {
      const fields = { key, error: messageOf(error) };
      // Another writer was faster: the next turn sees what is.
      if (codeOf(error) === "Conflict") logger.debug("lost a race; trying again", fields);
      else logger.warn("failed; trying again", fields);
    },
  });
  const following = controller.resources.map(async (resource) => {
    const failed = (error: unknown): void => {
      logger.warn("objects cannot be followed; trying again", { resource, error: messageOf(error) });
    };
    const followed = { store, selection: { partition, resource }, clock, failed };
    for await (const observed of follow(followed, signal)) {
      for (const key of controller.due(observed)) queue.add(key);
    }
  });
  await Promise.all([...following, queue.run(signal)]);
}
