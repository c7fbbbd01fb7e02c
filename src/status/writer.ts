import type { Finding } from "#api/finding.ts";
import { gatewayApiGroup } from "#api/gateway-api/names.ts";
import { type ObjectRef, type ResourceObject, refOf } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { timestamp } from "#base/timestamp.ts";
import type { Client, KindRef } from "#kube/client.ts";
import { WorkQueue } from "#base/workqueue.ts";
import { gatewayApiStatus } from "./gateway-api.ts";
import { type Condition, type ObjectStatus, type Refusal, ownTypes, saysTheSame, statusOf } from "./conditions.ts";

/** What is known against an object. */
export interface Verdict {
  readonly findings: readonly Finding[];
  readonly refusals: readonly Refusal[];
}

/** What a writer needs. */
export interface StatusWriterOptions {
  /** The mesh's API. */
  readonly client: Client;
  /** Kinds whose status is written. */
  readonly kinds: readonly KindRef[];
  /** What is known against an object now. */
  readonly verdict: (ref: ObjectRef) => Verdict;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Known {
  readonly ref: ObjectRef;
  readonly object: ResourceObject;
  readonly generation: number;
  readonly status: ObjectStatus | undefined;
  /** Conditions that others wrote. */
  readonly others: readonly Condition[];
}

/** Milliseconds that a burst of changes is waited for: a status is for people. */
const settleMs = 100;

/** An object's key among all kinds, of which several groups may have one of the same name. */
export function statusKey({ group, kind, namespace = "", name }: ObjectRef): string {
  return `${group}/${kind}/${namespace}/${name}`;
}

function kindKey({ group, kind }: Pick<ObjectRef, "group" | "kind">): string {
  return `${group}/${kind}`;
}

function isOwn({ type }: Condition): boolean {
  return (ownTypes as readonly string[]).includes(type);
}

/** What an object's status says now, as far as it is written here. */
function knownOf(object: ResourceObject): Known {
  const { generation } = object.metadata;
  const status = (object["status"] ?? {}) as Partial<ObjectStatus>;
  const conditions = status.conditions ?? [];
  const own = conditions.filter(isOwn);
  return {
    ref: refOf(object),
    object,
    generation,
    others: conditions.filter((condition) => !isOwn(condition)),
    status:
      own.length === 0
        ? undefined
        : {
            observedGeneration: status.observedGeneration ?? 0,
            conditions: own,
            validationMessages: status.validationMessages ?? [],
          },
  };
}

/**
 * Writes what is known against the mesh's objects into their status, and takes it away again when it is mended. An
 * object with nothing against it is left alone. What others wrote in a status stays.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #known = new Map<string, Known>();
  readonly #kinds: ReadonlyMap<string, KindRef>;
  readonly #queue: WorkQueue;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#kinds = new Map(options.kinds.map((kind) => [kindKey(kind), kind]));
    this.#queue = new WorkQueue({
      clock: options.clock,
      work: async (key) => this.#write(key),
      failed: (key, error) => {
        if (codeOf(error) !== "NotFound")
          options.logger.warn("cannot write a status", { key, error: messageOf(error) });
      },
    });
  }

  /** Writes until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  /** Tells of an object as it is stored. */
  seen(object: ResourceObject): void {
    const known = knownOf(object);
    if (!this.#kinds.has(kindKey(known.ref))) return;
    const key = statusKey(known.ref);
    this.#known.set(key, known);
    this.#queue.addAfter(key, settleMs);
  }

  /** Tells that an object is gone. */
  gone(object: ResourceObject): void {
    this.#known.delete(statusKey(refOf(object)));
  }

  /** Asks to look at objects again, since what is known against them may have changed. */
  recheck(keys: Iterable<string>): void {
    for (const key of keys) if (this.#known.has(key)) this.#queue.addAfter(key, settleMs);
  }

  async #write(key: string): Promise<void> {
    const known = this.#known.get(key);
    const kind = known && this.#kinds.get(kindKey(known.ref));
    if (!known || !kind) return;
    const { findings, refusals } = this.#options.verdict(known.ref);
    const now = timestamp(this.#options.clock.now());
    const status =
      known.ref.group === gatewayApiGroup
        ? gatewayApiStatus(known.object, findings, now)
        : changedStatus(known, statusOf(findings, refusals, known.generation, now));
    if (status === undefined) return;
    await this.#options.client
      .of(kind)
      .patch(known.ref, { kind: "merge", body: { status } }, { subresource: "status" });
  }
}

/** The members of an Istio object's status that change; undefined where none does. */
function changedStatus(known: Known, wanted: ObjectStatus | undefined): object | undefined {
  if (saysTheSame(wanted, known.status)) return undefined;
  const conditions = [...known.others, ...(wanted?.conditions ?? []).map((one) => sinceBefore(one, known.status))];
  return {
    conditions: conditions.length === 0 ? null : conditions,
    validationMessages: wanted && wanted.validationMessages.length > 0 ? wanted.validationMessages : null,
    observedGeneration: known.generation,
  };
}

/** A condition that stood before with the same status has not changed since. */
function sinceBefore(condition: Condition, before: ObjectStatus | undefined): Condition {
  const same = before?.conditions.find((one) => one.type === condition.type && one.status === condition.status);
  return same ? { ...condition, lastTransitionTime: same.lastTransitionTime } : condition;
}
