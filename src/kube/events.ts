import { randomBytes } from "node:crypto";
import type { ResourceObject } from "#api/meta.ts";
import { event as eventKind } from "#api/kubernetes/event.ts";
import type { Event } from "#api/kubernetes/event.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { timestamp } from "#base/timestamp.ts";
import type { Logger } from "#base/logger.ts";
import type { Client, KindClient, ObjectName } from "./client.ts";

/** What happened to an object, for people who ask `kubectl describe` and `kubectl get events`. */
export interface EventText {
  readonly type: "Normal" | "Warning";
  /** One word in upper camel case. */
  readonly reason: string;
  readonly message: string;
}

interface Recorded {
  readonly name: ObjectName;
  readonly first: string;
  count: number;
}

/** How many different events are remembered, so that what happens again is counted and not told anew. */
const remembered = 512;

/** Writes Kubernetes events. An event that cannot be written is given up: nothing waits for it. */
export class EventRecorder {
  readonly #events: KindClient<Event>;
  readonly #component: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #recorded = new Map<string, Recorded>();
  #writes: Promise<void> = Promise.resolve();
  #waiting = 0;

  /** @param component who tells, such as `default-scheduler`. */
  constructor(client: Client, component: string, clock: Clock, logger: Logger) {
    this.#events = client.of<Event>(eventKind);
    this.#component = component;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Tells what happened to an object; the same again within the memory is counted. */
  record(object: ResourceObject, text: EventText): void {
    // Behind an API server that is away, events would pile up.
    if (this.#waiting >= remembered) return;
    this.#waiting += 1;
    this.#writes = this.#inTurn(this.#writes, object, text);
  }

  /** Resolves when everything told so far has been written or given up. */
  async flush(): Promise<void> {
    await this.#writes;
  }

  async #inTurn(before: Promise<void>, object: ResourceObject, text: EventText): Promise<void> {
    await before;
    await this.#write(object, text);
    this.#waiting -= 1;
  }

  async #write(object: ResourceObject, text: EventText): Promise<void> {
    const key = [object.metadata.uid, text.type, text.reason, text.message].join("\n");
    try {
      const known = this.#recorded.get(key);
      if (known === undefined || !(await this.#count(known))) this.#remember(key, await this.#create(object, text));
    } catch (error) {
      this.#logger.debug("an event could not be written", { reason: text.reason, error: messageOf(error) });
    }
  }

  /** Whether the event was there to be counted; it goes after a while. */
  async #count(known: Recorded): Promise<boolean> {
    known.count += 1;
    const body = { count: known.count, firstTimestamp: known.first, lastTimestamp: this.#now() };
    try {
      await this.#events.patch(known.name, { kind: "merge", body });
      return true;
    } catch (error) {
      if (error instanceof WeftError && error.code === "NotFound") return false;
      throw error;
    }
  }

  async #create(object: ResourceObject, { type, reason, message }: EventText): Promise<Recorded> {
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const at = this.#now();
    const { apiVersion, kind } = object;
    const of = { apiVersion, kind, name, uid, resourceVersion, ...(namespace === undefined ? {} : { namespace }) };
    const written = await this.#events.create({
      // As Kubernetes names them; a generated name could not end in a dot.
      metadata: { name: `${name}.${randomBytes(8).toString("hex")}`, namespace: namespace ?? "default" },
      involvedObject: of,
      type,
      reason,
      message,
      count: 1,
      firstTimestamp: at,
      lastTimestamp: at,
      source: { component: this.#component },
      reportingComponent: this.#component,
      reportingInstance: "",
    });
    return { name: written.metadata, first: at, count: 1 };
  }

  #remember(key: string, recorded: Recorded): void {
    this.#recorded.delete(key);
    this.#recorded.set(key, recorded);
    const [oldest] = this.#recorded.keys();
    if (this.#recorded.size > remembered && oldest !== undefined) this.#recorded.delete(oldest);
  }

  #now(): string {
    return timestamp(this.#clock.now());
  }
}
