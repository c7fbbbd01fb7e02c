import { type EgressScope, egressScope, type LearnedHost, mostScopeHosts } from "#api/weft/egress-scope.ts";
import type { ResourceObject } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { type Memory, remembered } from "./learned.ts";

/** What is known of a workload beside its EgressScope. */
export interface WorkloadFacts {
  /** Connected proxies that hold what it calls, and not everything. */
  readonly proxies: number;
  /** Those of the EgressScope's hosts of which nothing in the mesh is. */
  readonly unknownHosts: readonly string[];
  /** Whether nobody who might call a host unseen is there. */
  readonly mayForget: Memory["mayForget"];
}

/** What the keeper needs. */
export interface ScopeKeeperOptions {
  /** The mesh's API. */
  readonly client: Client;
  readonly facts: (workload: string) => WorkloadFacts;
  /** Milliseconds after which a host that is not called is forgotten; zero for never. */
  readonly lifeMs: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds that hosts which are called together, and proxies that come together, are waited for. */
const settleMs = 200;
/** Who made an object that nobody wrote: it may be taken away when there is nothing to keep. */
const managed = { "app.kubernetes.io/managed-by": "weft" } as const;

type ScopeStatus = NonNullable<EgressScope["status"]>;
type OwnStatus = Pick<ScopeStatus, "proxies" | "learned" | "unknownHosts">;

function isLeft({ metadata, spec }: EgressScope): boolean {
  const [[label, value]] = Object.entries(managed) as [[string, string]];
  return metadata.labels?.[label] === value && spec.discovery === undefined && spec.hosts.length === 0;
}

function nameOf(workload: string): { readonly namespace: string; readonly name: string } {
  const [namespace = "", name = ""] = workload.split("/");
  return { namespace, name };
}

/**
 * Keeps what workloads call in the status of their EgressScopes, which are made when there is something to keep. What a user
 * declares, in their specifications, is the user's. Nobody waits for what is written here.
 */
export class ScopeKeeper {
  readonly #options: ScopeKeeperOptions;
  readonly #scopes: KindClient<EgressScope>;
  readonly #queue: WorkQueue;
  /** As they are stored. */
  readonly #stored = new Map<string, EgressScope>();
  /** When hosts were called that are to be kept, by workload. */
  readonly #called = new Map<string, Map<string, number>>();

  constructor(options: ScopeKeeperOptions) {
    const { client, clock, logger } = options;
    this.#options = options;
    this.#scopes = client.of<EgressScope>(egressScope);
    this.#queue = new WorkQueue({
      clock,
      work: async (key) => this.#settle(key),
      failed: (key, error) => {
        const level = codeOf(error) === "Conflict" || codeOf(error) === "Unavailable" ? "debug" : "warn";
        logger[level]("cannot keep what a workload calls", { workload: key, error: messageOf(error) });
      },
    });
  }

  /** Tells of an object as it is stored; others than EgressScopes are passed over. */
  seen(object: ResourceObject): void {
    if (object.kind !== egressScope.kind) return;
    const { namespace = "", name } = object.metadata;
    this.#stored.set(`${namespace}/${name}`, object as unknown as EgressScope);
    this.#queue.addAfter(`${namespace}/${name}`, settleMs);
  }

  /** Tells that an object is gone. */
  gone({ kind, metadata: { namespace = "", name } }: ResourceObject): void {
    if (kind === egressScope.kind) this.#stored.delete(`${namespace}/${name}`);
  }

  /**
   * Keeps hosts that a workload calls now.
   * @param workload `namespace/name`.
   */
  keep(workload: string, hosts: readonly string[]): void {
    if (hosts.length === 0) return;
    const called = this.#called.get(workload) ?? new Map<string, number>();
    const now = this.#options.clock.now();
    for (const host of hosts) if (called.size < mostScopeHosts || called.has(host)) called.set(host, now);
    this.#called.set(workload, called);
    this.#queue.addAfter(workload, settleMs);
  }

  /** Workloads that have an EgressScope. */
  workloads(): Iterable<string> {
    return this.#stored.keys();
  }

  /** What was learned of a workload, as it is stored. */
  learned(workload: string): readonly LearnedHost[] {
    return this.#stored.get(workload)?.status?.learned ?? [];
  }

  /** Asks to look again at all EgressScopes: their proxies come and go, and so do hosts. */
  recheck(): void {
    for (const workload of this.#stored.keys()) this.#queue.addAfter(workload, settleMs);
  }

  /** Writes until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  async #settle(workload: string): Promise<void> {
    const called = new Map(this.#called.get(workload));
    const stored = this.#stored.get(workload);
    if (called.size === 0 && (!stored || this.#wanted(workload, stored, called) === undefined)) return;
    try {
      await this.#write(workload, called);
    } catch (error) {
      // Such as a namespace that is no more: trying again would not help, and a proxy that still runs asks again.
      if (codeOf(error) !== "NotFound" && codeOf(error) !== "InvalidArgument") throw error;
    }
    const pending = this.#called.get(workload);
    for (const [host, at] of called) if (pending?.get(host) === at) pending.delete(host);
    if (pending?.size === 0) this.#called.delete(workload);
  }

  async #write(workload: string, called: ReadonlyMap<string, number>): Promise<void> {
    const name = nameOf(workload);
    const found =
      (await this.#scopes.find(name)) ??
      (called.size > 0
        ? await this.#scopes.create({ metadata: { ...name, labels: managed }, spec: { hosts: [] } })
        : undefined);
    const wanted = found && this.#wanted(workload, found, called);
    if (!found || !wanted) return;
    const { resourceVersion } = found.metadata;
    if (wanted === "nothing") await this.#scopes.delete(name, { resourceVersion });
    else await this.#scopes.replaceStatus({ ...found, status: { ...found.status, ...wanted } });
  }

  /** What the status is to say where it does not; `nothing` where the object has no use any more. */
  #wanted(
    workload: string,
    scope: EgressScope,
    called: ReadonlyMap<string, number>,
  ): OwnStatus | "nothing" | undefined {
    const { facts, lifeMs, clock } = this.#options;
    const { proxies, unknownHosts, mayForget } = facts(workload);
    const { status = {}, spec } = scope;
    const declared = new Set(spec.hosts.map(({ host }) => host));
    const memory = { now: clock.now(), lifeMs: lifeMs(), most: mostScopeHosts, mayForget };
    const learned = remembered(status.learned ?? [], called, declared, memory);
    if (learned.length === 0 && proxies === 0 && isLeft(scope)) return "nothing";
    const wanted = { proxies, learned, unknownHosts };
    const known = {
      proxies: status.proxies ?? 0,
      learned: status.learned ?? [],
      unknownHosts: status.unknownHosts ?? [],
    };
    return equal(wanted, known) ? undefined : wanted;
  }
}
