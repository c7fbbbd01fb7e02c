import { asksForNames } from "../node-metadata.ts";
import type { PodProxy } from "../pod-proxy.ts";
import type { ManagedContext } from "./managed-pod.ts";
import { metricsOf, servePodMetrics } from "./pod-metrics.ts";
import { captureNames, nameServersOf, releaseNames } from "./pod-names.ts";
import type { PodPlace } from "./pod-places.ts";
import type { ManagedRecord } from "./record.ts";

/** What a Pod gets beside its proxy where it asks for it: its names looked up at the agent, its metrics in one list with the proxy's. */
export class PodExtras implements Disposable {
  readonly #context: ManagedContext;
  readonly #record: ManagedRecord;
  #metrics: Disposable | undefined;
  #capturesNames = false;

  constructor(context: ManagedContext, record: ManagedRecord) {
    this.#context = context;
    this.#record = record;
  }

  /**
   * Looks at what the Pod asks for, until it has joined and has a process.
   * @returns whether that changes what its proxy is served.
   */
  decide({ process }: PodPlace, { runner }: PodProxy): boolean {
    const record = this.#record;
    if (record.joined === true && record.early !== true) return false;
    if (process) delete record.early;
    const metrics = metricsOf(record.pod);
    // A proxy that runs has taken the port, or left it to the agent.
    if (runner.record.attempt === -1 && metrics !== undefined) record.metrics = metrics;
    const asks = record.resolvers === undefined && record.settings && asksForNames(record.settings.config);
    const servers = asks === true && process ? nameServersOf(process.pid) : [];
    if (servers.length === 0) return false;
    record.resolvers = servers;
    return true;
  }

  /** Serves what was asked for; names are looked up at the agent once the Pod has joined. */
  async serve({ network }: PodPlace, proxy: PodProxy): Promise<void> {
    const { clock, logger } = this.#context;
    const { metrics, resolvers, joined } = this.#record;
    if (resolvers && joined === true && !this.#capturesNames) {
      await captureNames(network, resolvers);
      this.#capturesNames = true;
    }
    if (metrics !== undefined)
      this.#metrics ??= await servePodMetrics({ network, metrics, drain: async () => proxy.drain(), clock, logger });
  }

  /** Has the Pod look up names where it did before. */
  async release({ network }: PodPlace): Promise<void> {
    if (this.#record.resolvers) await releaseNames(network);
    this.#capturesNames = false;
  }

  /** Takes back what the Pod got; what is in its own network goes with that. */
  end(): void {
    this.#context.names?.remove(this.#record.pod.metadata.uid);
    this[Symbol.dispose]();
  }

  /** Lets go of it; a later agent goes on. */
  [Symbol.dispose](): void {
    this.#metrics?.[Symbol.dispose]();
    this.#metrics = undefined;
    this.#capturesNames = false;
  }
}
