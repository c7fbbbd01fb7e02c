import type { Finding } from "#api/finding.ts";
import { credentialsIn, type GatewayCredential } from "#api/istio/gateway-credential.ts";
import { type ClusterHolding, heldIn } from "#api/istio/holding.ts";
import { gatewayApiGroup } from "#api/gateway-api/names.ts";
import { type ObjectRef, type ResourceObject, refOf } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { contentHash } from "#base/content-hash.ts";
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
/** Between looks for statuses that were written when fewer proxies, or others, were connected: one is written at most. */
const sweepMs = 1_000;
/** Objects that such a look goes over. */
const sweepObjects = 500;
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
  const held = heldIn(object);
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
            ...(status.contentHash !== undefined && { contentHash: status.contentHash }),
            ...(held.length > 0 && { held }),
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
  #holders: () => Holders = () => ({ connected: 0, holding: 0, clusters: [] });
  /** Objects whose proxies are to be counted again, though all held them. */
  readonly #outdated = new Set<string>();
  /** Where the sweep over all objects stands, and by which counts it, or the one before, was begun. */
  #sweep: Iterator<[string, Tracked]> | undefined;
  #swept: readonly ClusterHolding[] | undefined;
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
    using _sweep = this.#options.clock.every(sweepMs, () => this.#lookOver());
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
    const key = statusKey(refOf(object));
    this.#known.delete(key);
    this.#outdated.delete(key);
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
    const programmed = translated ? this.#programmed(known, this.#outdated.delete(key)) : {};
    const made = translated ? { contentHash: contentHash(known.object["spec"] ?? {}) } : {};
    const status =
      known.ref.group === gatewayApiGroup
        ? gatewayApiStatus(known.object, findings, now)
        : changedStatus(
            known,
            statusOf({ findings, refusals, credentials, ...made, ...programmed.says }, known.generation, now),
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
  #programmed({ status, generation, since }: Tracked, outdated: boolean): Programmed {
    const before = status?.conditions.find(({ type }) => type === "Programmed");
    const current = before?.observedGeneration === generation;
    // Who held what it said before is not told of what it says now.
    const says = {
      ...(before && before.reason !== "Refused" && { programmed: before }),
      ...(current && status?.held && { held: status.held }),
    };
    if (before?.status === "True" && current) {
      const recounted = outdated ? this.#count() : undefined;
      return { says: recounted && all(recounted) ? { ...says, held: recounted.clusters } : says };
    }
    const waited = this.#options.clock.monotonic() - since;
    if (waited < sentMs) return { says, againMs: sentMs - waited };
    const holders = this.#count();
    const counted = { programmed: holders, held: holders.clusters };
    if (all(holders)) return { says: counted };
    const laterMs = Math.min(latestMs, Math.max(againMs, waited / 2));
    return { says: waited < patienceMs ? says : counted, againMs: laterMs };
  }

  /** Finds a status that tells of other proxies than there are: when these change each is told right in the end, at a low rate. */
  #lookOver(): void {
    const holders = this.#count();
    if (!all(holders)) return;
    if (this.#sweep === undefined && equal(this.#swept, holders.clusters)) return;
    if (this.#sweep === undefined) this.#swept = holders.clusters;
    for (let looked = 0; looked < sweepObjects; looked += 1) {
      this.#sweep ??= this.#known.entries();
      const { done, value } = this.#sweep.next();
      if (done === true) {
        this.#sweep = undefined;
        return;
      }
      const [key, { status }] = value;
      if (!isProgrammed(status) || equal(status?.held, holders.clusters)) continue;
      this.#outdated.add(key);
      this.#queue.add(key);
      return;
    }
  }
}

function all({ connected, holding }: Holders): boolean {
  return connected > 0 && holding === connected;
}

function isProgrammed(status: ObjectStatus | undefined): boolean {
  return status?.conditions.some(({ type, status: is }) => type === "Programmed" && is === "True") === true;
}

interface Programmed {
  readonly says?: { readonly programmed?: Condition | Holders; readonly held?: readonly ClusterHolding[] };
  readonly againMs?: number;
}

/** The members of an Istio object's status that change; undefined where none does. */
function changedStatus(known: Tracked, wanted: ObjectStatus): object | undefined {
  if (saysTheSame(wanted, known.status)) return undefined;
  return {
    conditions: [...known.others, ...wanted.conditions.map((one) => sinceBefore(one, known.status))],
    validationMessages: wanted.validationMessages.length > 0 ? wanted.validationMessages : null,
    ...((wanted.credentials ?? known.status?.credentials) && { credentials: wanted.credentials ?? null }),
    ...((wanted.contentHash ?? known.status?.contentHash) && { contentHash: wanted.contentHash ?? null }),
    ...((wanted.held ?? known.status?.held) && { held: wanted.held ?? null }),
    observedGeneration: known.generation,
  };
}

/** A condition that stood before with the same status has not changed since. */
function sinceBefore(condition: Condition, before: ObjectStatus | undefined): Condition {
  const same = before?.conditions.find((one) => one.type === condition.type && one.status === condition.status);
  return same ? { ...condition, lastTransitionTime: same.lastTransitionTime } : condition;
}
