import { pod as podKind } from "#api/kubernetes/pod.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { EventRecorder } from "#kube/events.ts";

/** What a Pod's proxy did that it should not, or what happened to it. */
export interface ProxyEvent {
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  readonly reason: string;
  readonly message: string;
  /** Tells what happened from what happened before for the same reason; the same all the time unless told. */
  readonly occasion?: string;
}

/** What the writer needs. */
export interface ProxyEventOptions {
  /** A member cluster's API. */
  readonly member: (name: string) => Client | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

function keyOf({ cluster, namespace, pod, reason, occasion = "" }: ProxyEvent): string {
  return JSON.stringify([cluster, namespace, pod, reason, occasion]);
}

/**
 * Writes an event to a Pod when its proxy begins to do what it should not, for those who look with `kubectl describe`.
 * What goes on is not told again: it is a finding as long as it does.
 */
export class ProxyEventWriter {
  readonly #options: ProxyEventOptions;
  readonly #queue: WorkQueue;
  readonly #recorders = new Map<Client, EventRecorder>();
  #standing: ReadonlyMap<string, ProxyEvent> = new Map();

  constructor(options: ProxyEventOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      clock: options.clock,
      concurrency: 1,
      work: async (key) => this.#write(key),
      failed: (key, error) => options.logger.debug("cannot write an event", { key, error: messageOf(error) }),
    });
  }

  /** Tells all that stands now. */
  standing(events: readonly ProxyEvent[]): void {
    const before = this.#standing;
    this.#standing = new Map(events.map((event) => [keyOf(event), event]));
    for (const key of this.#standing.keys()) if (!before.has(key)) this.#queue.add(key);
  }

  /** Writes until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  async #write(key: string): Promise<void> {
    const event = this.#standing.get(key);
    const client = event && this.#options.member(event.cluster);
    if (!event || !client) return;
    const { namespace, pod: name, reason, message } = event;
    const pod = await client.of(podKind).find({ namespace, name });
    if (pod) this.#recorder(client).record(pod, { type: "Warning", reason, message });
  }

  #recorder(client: Client): EventRecorder {
    const { clock, logger } = this.#options;
    const recorder = this.#recorders.get(client) ?? new EventRecorder(client, "weft-discovery", clock, logger);
    this.#recorders.set(client, recorder);
    return recorder;
  }
}
