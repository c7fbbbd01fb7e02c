import type { ResourceStore, Selection, StoreEvent } from "../port.ts";

/** A watch that is being read in the background. */
export interface Reader {
  readonly events: readonly StoreEvent[];
  /** Settles when the watch has ended; rejects when it failed. */
  readonly ended: Promise<void>;
  /** The events, once there are so many. */
  until(count: number): Promise<readonly StoreEvent[]>;
  /** Ends the watch and waits for it. */
  stop(): Promise<void>;
}

/** Starts to read a watch. */
export function collect(store: Pick<ResourceStore, "watch">, selection: Selection, after: number): Reader {
  const events: StoreEvent[] = [];
  const controller = new AbortController();
  let arrived = Promise.withResolvers<void>();
  const read = async (): Promise<void> => {
    for await (const event of store.watch(selection, after, controller.signal)) {
      events.push(event);
      arrived.resolve();
      arrived = Promise.withResolvers();
    }
  };
  const ended = read();
  // Who only counts events learns of a failure there; without this it would be an unhandled rejection as well.
  ended.catch(() => undefined);
  return {
    events,
    ended,
    async until(count) {
      while (events.length < count) {
        await Promise.race([arrived.promise, ended.then(() => Promise.reject(new Error("the watch ended")))]);
      }
      return events;
    },
    stop() {
      controller.abort();
      return ended;
    },
  };
}
