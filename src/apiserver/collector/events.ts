import { codeOf, messageOf } from "#base/errors.ts";
import type { Event } from "#api/kubernetes/event.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Context } from "../context.ts";

/** Milliseconds that an event is kept after it happened last: Kubernetes' hour. */
const keptMs = 3_600_000;

/** Milliseconds between looks for old events. */
const lookEveryMs = 60_000;

/** When an event happened last, in milliseconds since the epoch. */
function lastSeen(object: ResourceObject): number {
  const { series, lastTimestamp, eventTime, metadata } = object as Event;
  const times = [series?.lastObservedTime, lastTimestamp, eventTime, metadata.creationTimestamp];
  return Math.max(...times.map((time) => (time === undefined ? 0 : Date.parse(time) || 0)));
}

/** Removes the events of one partition that are too old to tell anybody anything. */
export class EventExpiry {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#context;
    while (!signal.aborted) {
      await this.#expire().catch((error: unknown) => {
        logger.warn("old events could not be removed", { error: messageOf(error) });
      });
      // Rejects when the signal aborts: then the work is over.
      await clock.sleep(lookEveryMs, signal).catch(() => undefined);
    }
  }

  async #expire(): Promise<void> {
    const { store, clock, partition } = this.#context;
    const { items } = await store.list({ partition, resource: "events" });
    for (const { key, object, revision } of items) {
      if (clock.now() - lastSeen(object) <= keptMs) continue;
      await store.delete(key, { kind: "revision", revision }).catch((error: unknown) => {
        // It happened again, or is gone already.
        const code = codeOf(error);
        if (code !== "Conflict" && code !== "NotFound") throw error;
      });
    }
  }
}
