import { type EgressScope, egressScope, mostScopeHosts } from "#api/weft/egress-scope.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { timestamp } from "#base/timestamp.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client, KindClient } from "#kube/client.ts";

/** What the keeper needs. */
export interface ScopeKeeperOptions {
  /** The mesh's API. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds that hosts which are called together are waited for. */
const settleMs = 200;

/**
 * Keeps what workloads call in their EgressScopes, which are made when there is something to keep. What a user changes or
 * deletes stays as the user left it until a proxy asks for more. Nobody waits for what is written here.
 */
export class ScopeKeeper {
  readonly #scopes: KindClient<EgressScope>;
  readonly #clock: Clock;
  readonly #queue: WorkQueue;
  /** Hosts that are to be kept, with when they were asked for, by workload. */
  readonly #pending = new Map<string, Map<string, string>>();

  constructor({ client, clock, logger }: ScopeKeeperOptions) {
    this.#scopes = client.of<EgressScope>(egressScope);
    this.#clock = clock;
    this.#queue = new WorkQueue({
      clock,
      work: async (key) => this.#write(key),
      failed: (key, error) => {
        const level = codeOf(error) === "Conflict" || codeOf(error) === "Unavailable" ? "debug" : "warn";
        logger[level]("cannot keep what a workload calls", { workload: key, error: messageOf(error) });
      },
    });
  }

  /**
   * Keeps hosts.
   * @param workload `namespace/name`.
   */
  keep(workload: string, hosts: readonly string[]): void {
    const pending = this.#pending.get(workload) ?? new Map<string, string>();
    const now = timestamp(this.#clock.now());
    for (const host of hosts) if (pending.size < mostScopeHosts && !pending.has(host)) pending.set(host, now);
    if (pending.size === 0) return;
    this.#pending.set(workload, pending);
    this.#queue.addAfter(workload, settleMs);
  }

  /** Writes until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  async #write(workload: string): Promise<void> {
    const hosts = [...(this.#pending.get(workload) ?? [])].map(([host, firstUsed]) => ({ host, firstUsed }));
    const [namespace = "", name = ""] = workload.split("/");
    try {
      await this.#put(namespace, name, hosts);
    } catch (error) {
      // Such as a namespace that is no more: trying again would not help, and a proxy that still runs asks again.
      if (codeOf(error) !== "NotFound" && codeOf(error) !== "InvalidArgument") throw error;
    }
    const pending = this.#pending.get(workload);
    for (const { host } of hosts) pending?.delete(host);
    if (pending?.size === 0) this.#pending.delete(workload);
  }

  async #put(namespace: string, name: string, hosts: EgressScope["spec"]["hosts"]): Promise<void> {
    const found = await this.#scopes.find({ namespace, name });
    const known = found?.spec.hosts ?? [];
    const news = hosts
      .filter(({ host }) => !known.some((each) => each.host === host))
      .slice(0, Math.max(0, mostScopeHosts - known.length));
    if (news.length === 0) return;
    const spec = { ...found?.spec, hosts: [...known, ...news] };
    if (found) await this.#scopes.replace({ ...found, spec });
    else await this.#scopes.create({ metadata: { namespace, name }, spec });
  }
}
