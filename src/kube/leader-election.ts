import { type Lease, lease as leaseKind } from "#api/kubernetes/lease.ts";
import type { StringMap } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "./client.ts";

/** What a Lease says. */
export type LeaseSpec = Lease["spec"];

/** What is written of a Lease. */
export interface LeaseContent {
  readonly spec: LeaseSpec;
  readonly annotations: StringMap;
}

/** Where a Lease is kept. */
export interface LeaseLock {
  /** As messages name it. */
  readonly name: string;
  /** The Lease, or undefined. */
  read(signal: AbortSignal): Promise<Lease | undefined>;
  /**
   * Writes it, unless it is not as it was when it was read (undefined: not there).
   * @throws WeftError `Conflict`, `NotFound` or `AlreadyExists` then.
   */
  write(content: LeaseContent, before: Lease | undefined, signal: AbortSignal): Promise<Lease>;
}

/** A Lease of an API server. */
export function apiLease(
  client: Client,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): LeaseLock {
  const leases = client.of<Lease>(leaseKind);
  return {
    name: `${namespace}/${name}`,
    read: (signal) => leases.find({ namespace, name }, signal),
    write: ({ spec, annotations }, before, signal) =>
      before
        ? leases.replace({ ...before, metadata: { ...before.metadata, annotations }, spec }, { signal })
        : leases.create({ metadata: { namespace, name, annotations }, spec }, { signal }),
  };
}

/** By what candidates of one machine find out that the holder's process has ended. */
export interface ProcessSigns {
  /** What tells this process from all others; undefined where nothing does. */
  readonly mark: string | undefined;
  /** Whether a process has ended for certain. */
  readonly hasEnded: (mark: string) => boolean;
}

/** The annotation of a Lease with its holder's mark, and the `renewTime` that it was written with. */
const processAnnotation = "mesh.weft.dev/holder-process";

/** The mark of the process that last renewed a Lease; undefined where that one told none, whatever an earlier one told. */
function markOf({ metadata, spec }: Lease): string | undefined {
  const [mark, renewTime] = metadata.annotations?.[processAnnotation]?.split(" ") ?? [];
  return renewTime === spec.renewTime ? mark : undefined;
}

/** Who takes part in an election. */
export interface ElectionOptions {
  readonly lock: LeaseLock;
  /** Unlike every other's. */
  readonly identity: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds without a renewal after which others take over; 15 s unless told, as in Kubernetes. */
  readonly durationMs?: number;
  /** Milliseconds after which who could not renew stops its work: less than `durationMs`; 10 s unless told. */
  readonly renewMs?: number;
  /** Milliseconds between tries; 2 s unless told. */
  readonly retryMs?: number;
  /** Where told, a holder whose process has ended is not waited for. */
  readonly process?: ProcessSigns;
}

/** A time as Kubernetes' MicroTime writes it. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** One process's part in an election, as client-go's `leaderelection` plays it, so that both understand each other. */
class Candidate {
  readonly #options: Required<Omit<ElectionOptions, "process">> & Pick<ElectionOptions, "process">;
  /** The Lease as it was last seen, and when it was first seen so: others' clocks are not believed. */
  #seen: { readonly lease: Lease | undefined; readonly version: string; readonly at: number } | undefined;

  constructor(options: ElectionOptions) {
    this.#options = { durationMs: 15_000, renewMs: 10_000, retryMs: 2_000, ...options };
  }

  /** Holds the Lease while the work goes on; again and again until the signal aborts or the work ends. */
  async run(work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { logger, lock, identity } = this.#options;
    while (await this.#acquire(signal)) {
      logger.info("leading", { lease: lock.name, identity });
      const [lost, done] = [new AbortController(), new AbortController()];
      const working = work(AbortSignal.any([signal, lost.signal])).finally(() => done.abort());
      const held = await this.#hold(AbortSignal.any([signal, done.signal]));
      if (!held) {
        logger.warn("not leading any more: the lease could not be renewed in time", { lease: lock.name, identity });
        lost.abort();
      }
      try {
        await working;
      } finally {
        if (held) await this.#release();
      }
      if (held) return;
    }
  }

  /** @returns false when the signal aborted first. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.#try(signal)) return true;
      await this.#pause(signal);
    }
    return false;
  }

  /** Renews until the signal aborts. @returns false when it could not for too long. */
  async #hold(signal: AbortSignal): Promise<boolean> {
    const { clock, renewMs } = this.#options;
    let renewed = clock.monotonic();
    while (!signal.aborted) {
      await this.#pause(signal);
      if (signal.aborted) return true;
      const at = clock.monotonic();
      const left = renewMs - (at - renewed);
      if (left <= 0) return false;
      const late = new AbortController();
      using _limit = clock.after(left, () => late.abort());
      if (await this.#try(AbortSignal.any([signal, late.signal]))) renewed = at;
      else if (this.#takenByOther) return false;
    }
    return true;
  }

  get #takenByOther(): boolean {
    const holder = this.#seen?.lease?.spec.holderIdentity ?? "";
    return holder !== "" && holder !== this.#options.identity;
  }

  /** Takes or renews the Lease if that can be done now. */
  async #try(signal: AbortSignal): Promise<boolean> {
    const { clock, logger, lock, identity, durationMs } = this.#options;
    try {
      const before = await lock.read(signal);
      const at = clock.monotonic();
      const version = before?.metadata.resourceVersion ?? "";
      if (this.#seen?.version !== version) this.#seen = { lease: before, version, at };
      if (!this.#mayTake(before, at - this.#seen.at)) return false;
      const mine = before?.spec.holderIdentity === identity;
      const now = microTime(clock.now());
      const transitions = before?.spec.leaseTransitions ?? 0;
      const spec: LeaseSpec = {
        ...before?.spec,
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(durationMs / 1000),
        acquireTime: mine ? (before.spec.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: mine || before === undefined ? transitions : transitions + 1,
      };
      const lease = await lock.write({ spec, annotations: this.#annotations(before, now) }, before, signal);
      this.#seen = { lease, version: lease.metadata.resourceVersion, at };
      return true;
    } catch (error) {
      const fields = { lease: lock.name, error: messageOf(error) };
      const raced = ["Conflict", "AlreadyExists", "NotFound", "Cancelled"].includes(codeOf(error));
      if (!signal.aborted) logger[raced ? "debug" : "warn"]("the lease was not written", fields);
      return false;
    }
  }

  #mayTake(lease: Lease | undefined, unchangedMs: number): boolean {
    const { holderIdentity = "", leaseDurationSeconds = 0 } = lease?.spec ?? {};
    if (holderIdentity === "" || holderIdentity === this.#options.identity) return true;
    return unchangedMs > leaseDurationSeconds * 1000 || (lease !== undefined && this.#hasEnded(lease));
  }

  #hasEnded(lease: Lease): boolean {
    const mark = markOf(lease);
    return mark !== undefined && this.#options.process?.hasEnded(mark) === true;
  }

  #annotations(before: Lease | undefined, renewTime: string): StringMap {
    const { [processAnnotation]: _before, ...others } = before?.metadata.annotations ?? {};
    const mark = this.#options.process?.mark;
    return mark === undefined ? others : { ...others, [processAnnotation]: `${mark} ${renewTime}` };
  }

  /** Gives the Lease back, so that the next need not wait for its end. */
  async #release(): Promise<void> {
    const { lock, identity, clock, retryMs } = this.#options;
    const late = new AbortController();
    using _limit = clock.after(retryMs, () => late.abort());
    try {
      const before = await lock.read(late.signal);
      if (before?.spec.holderIdentity !== identity) return;
      const now = microTime(clock.now());
      const spec = { ...before.spec, holderIdentity: "", leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
      const { [processAnnotation]: _mark, ...annotations } = before.metadata.annotations ?? {};
      await lock.write({ spec, annotations }, before, late.signal);
    } catch {
      // Then it runs out.
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, retryMs } = this.#options;
    // Rejects when the signal aborts, which the caller looks at.
    await clock.sleep(retryMs * (1 + Math.random() / 5), signal).catch(() => undefined);
  }
}

/**
 * Does work in one process of several at a time: in the one that holds a Lease. Its signal aborts when that is lost.
 * Returns when the signal aborts, or when the work ends by itself; what it throws is thrown.
 */
export async function leadElected(
  options: ElectionOptions,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  await new Candidate(options).run(work, signal);
}
