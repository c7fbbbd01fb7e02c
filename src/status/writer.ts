import type { Finding } from "#api/finding.ts";
import { credentialsIn, type GatewayCredential } from "#api/istio/gateway-credential.ts";
import { gatewayApiGroup } from "#api/gateway-api/names.ts";
import { type ObjectRef, type ResourceObject, refOf } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { timestamp } from "#base/timestamp.ts";
import type { Client, KindRef } from "#kube/client.ts";
import { WorkQueue } from "#base/workqueue.ts";
import { gatewayApiStatus } from "./gateway-api.ts";
import {
  type Condition,
  type Holders,
  type ObjectStatus,
  type Refusal,
  ownTypes,
  saysTheSame,
  statusOf,
} from "./conditions.ts";

/** What is known against an object. */
export interface Verdict {
  readonly findings: readonly Finding[];
  readonly refusals: readonly Refusal[];
  /** Whether objects of the kind become configuration of proxies. */
  readonly translated: boolean;
  /** Of a Gateway: what its servers name, and when that ends. */
  readonly credentials?: readonly GatewayCredential[];
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

interface Tracked {
  readonly ref: ObjectRef;
  readonly object: ResourceObject;
  readonly generation: number;
  readonly status: ObjectStatus | undefined;
  /** Conditions that others wrote. */
  readonly others: readonly Condition[];
  /** Milliseconds on the monotonic clock when this generation was first seen. */
  readonly since: number;
}

/** Milliseconds after which a change is on its way to every proxy that it concerns. */
const sentMs = 500;
/** Milliseconds that proxies get to take a change before it is said that some have not. */
const patienceMs = 5_000;
/** Milliseconds between looks at proxies that have not: at first, and when they have not for long. */
const againMs = 1_000;
const latestMs = 30_000;

/** Milliseconds that a burst of changes is waited for: a status is for people. */
const settleMs = 100;
/** So much longer for each other object that waits, and at most. */
const eachSettleMs = 10;
const longestSettleMs = 2_000;
/** Counting proxies takes at most one part of so many of the time. */
const countShare = 50;

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
function tracked(object: ResourceObject, since: number): Tracked {
  const { generation } = object.metadata;
  const status = (object["status"] ?? {}) as Partial<ObjectStatus>;
  const conditions = status.conditions ?? [];
  const own = conditions.filter(isOwn);
  const credentials = credentialsIn(object);
  return {
    ref: refOf(object),
    object,
    generation,
    since,
    others: conditions.filter((condition) => !isOwn(condition)),
    status:
      own.length === 0
        ? undefined
        : {
            observedGeneration: status.observedGeneration ?? 0,
            conditions: own,
            validationMessages: status.validationMessages ?? [],
            ...(credentials.length > 0 && { credentials }),
          },
  };
}

/**
 * Writes into the status of the mesh's objects what is known of them: whether they are accepted, and how many proxies
 * hold them. Once all do, that stands until the object changes or a proxy refuses it: proxies that come later get
 * the newest anyway. What others wrote in a status stays.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #known = new Map<string, Tracked>();
  readonly #kinds: ReadonlyMap<string, KindRef>;
  readonly #queue: WorkQueue;
  #holders: () => Holders = () => ({ connected: 0, holding: 0 });
  /** The last count, for all objects that ask until a time. */
  #counted: { readonly until: number; readonly holders: Holders } | undefined;

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

  /**
   * Writes until the signal aborts.
   * @param holders how many proxies are connected, and how many of them hold the newest of everything.
   */
  async run(holders: () => Holders, signal: AbortSignal): Promise<void> {
    this.#holders = holders;
    await this.#queue.run(signal);
  }

  /** Tells of an object as it is stored. */
  seen(object: ResourceObject): void {
    const ref = refOf(object);
    if (!this.#kinds.has(kindKey(ref))) return;
    const key = statusKey(ref);
    const before = this.#known.get(key);
    const same = before?.generation === object.metadata.generation;
    this.#known.set(key, tracked(object, same ? before.since : this.#options.clock.monotonic()));
    this.#queue.addAfter(key, this.#settleMs);
  }

  /** In a storm what is said of an object soon is outdated soon: it is said once, when it is known who holds the object. */
  get #settleMs(): number {
    return Math.min(longestSettleMs, settleMs + eachSettleMs * this.#queue.size);
  }

  /** Tells that an object is gone. */
  gone(object: ResourceObject): void {
    this.#known.delete(statusKey(refOf(object)));
  }

  /** Asks to look at objects again, since what is known against them may have changed. */
  recheck(keys: Iterable<string>): void {
    for (const key of keys) if (this.#known.has(key)) this.#queue.addAfter(key, this.#settleMs);
  }

  /** @returns milliseconds after which to look again, while some proxies do not hold the object. */
  async #write(key: string): Promise<number | undefined> {
    const known = this.#known.get(key);
    const kind = known && this.#kinds.get(kindKey(known.ref));
    if (!known || !kind) return undefined;
    const { findings, refusals, translated, credentials = [] } = this.#options.verdict(known.ref);
    const now = timestamp(this.#options.clock.now());
    const programmed = translated ? this.#programmed(known) : {};
    const status =
      known.ref.group === gatewayApiGroup
        ? gatewayApiStatus(known.object, findings, now)
        : changedStatus(
            known,
            statusOf({ findings, refusals, credentials, ...programmed.says }, known.generation, now),
          );
    if (status !== undefined) {
      await this.#options.client
        .of(kind)
        .patch(known.ref, { kind: "merge", body: { status } }, { subresource: "status" });
    }
    return programmed.againMs;
  }

  #count(): Holders {
    const { clock } = this.#options;
    const at = clock.monotonic();
    if (this.#counted === undefined || at > this.#counted.until) {
      const holders = this.#holders();
      const tookMs = clock.monotonic() - at;
      this.#counted = { until: at + Math.max(settleMs, countShare * tookMs), holders };
    }
    return this.#counted.holders;
  }

  /** What is said of the proxies that hold an object, and when to look again. */
  #programmed({ status, generation, since }: Tracked): Programmed {
    const before = status?.conditions.find(({ type }) => type === "Programmed");
    const says = before && before.reason !== "Refused" ? { programmed: before } : {};
    if (before?.status === "True" && status?.observedGeneration === generation) return { says };
    const waited = this.#options.clock.monotonic() - since;
    if (waited < sentMs) return { says, againMs: sentMs - waited };
    const holders = this.#count();
    const all = holders.connected > 0 && holders.holding === holders.connected;
    if (all) return { says: { programmed: holders } };
    const laterMs = Math.min(latestMs, Math.max(againMs, waited / 2));
    return { says: waited < patienceMs ? says : { programmed: holders }, againMs: laterMs };
  }
}

interface Programmed {
  readonly says?: { readonly programmed?: Condition | Holders };
  readonly againMs?: number;
}

/** The members of an Istio object's status that change; undefined where none does. */
function changedStatus(known: Tracked, wanted: ObjectStatus): object | undefined {
  if (saysTheSame(wanted, known.status)) return undefined;
  return {
    conditions: [...known.others, ...wanted.conditions.map((one) => sinceBefore(one, known.status))],
    validationMessages: wanted.validationMessages.length > 0 ? wanted.validationMessages : null,
    ...((wanted.credentials ?? known.status?.credentials) && { credentials: wanted.credentials ?? null }),
    observedGeneration: known.generation,
  };
}

/** A condition that stood before with the same status has not changed since. */
function sinceBefore(condition: Condition, before: ObjectStatus | undefined): Condition {
  const same = before?.conditions.find((one) => one.type === condition.type && one.status === condition.status);
  return same ? { ...condition, lastTransitionTime: same.lastTransitionTime } : condition;
}
