import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { parseDuration } from "#base/duration.ts";
import { WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { ScopeKeeper, type WorkloadFacts } from "#controllers/egress-scopes/keeper.ts";
import type { Client } from "#kube/client.ts";
import type { Model } from "#model/model.ts";
import { only } from "#model/services.ts";
import type { Audience } from "#sources/feed.ts";
import type { Translator } from "#translate/translator.ts";
import type { AskingProxy, Demand } from "#xds/port.ts";
import { callCounts } from "./call-counts.ts";
import { type CallCounts, CallWatch } from "./call-watch.ts";
import { DemandLedger } from "./demand.ts";
import { readAdmin } from "./proxy-admin.ts";
import { clusterOf, nodeParts } from "./proxy-object.ts";

/** What on-demand discovery needs. */
export interface OnDemandOptions {
  /** The mesh's API. */
  readonly client: Client;
  /** The API of a member cluster, through which its Pods are reached. */
  readonly member: (cluster: string) => Client | undefined;
  readonly model: Model;
  readonly source: Translator;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between looks at whether what proxies asked for is kept, and at what is kept. */
const settleStepMs = 5_000;
/** Milliseconds that a proxy gets to tell what it counts. */
const countsLimitMs = 5_000;

/** What proxies ask for by name, and what is kept of it in EgressScopes. */
export class OnDemand implements Audience {
  readonly #options: OnDemandOptions;
  readonly #keeper: ScopeKeeper;
  readonly #ledger: DemandLedger;
  readonly #calls: CallWatch;

  constructor(options: OnDemandOptions) {
    const { model, source, clock, logger } = options;
    const lifeMs = (): number => parseDuration(model.services.mesh.get(only).forgetCallsAfter);
    const counts = async (proxy: AskingProxy, signal: AbortSignal): Promise<CallCounts> => this.#counts(proxy, signal);
    this.#options = options;
    this.#keeper = new ScopeKeeper({ ...options, facts: (workload) => this.#facts(workload), lifeMs });
    this.#ledger = new DemandLedger({ model, source, keeper: this.#keeper });
    this.#calls = new CallWatch({ demand: this.#ledger, keeper: this.#keeper, model, counts, lifeMs, clock, logger });
  }

  /** Who is told what proxies ask for. */
  get demand(): Demand {
    return this.#ledger;
  }

  seen(object: ResourceObject): void {
    this.#keeper.seen(object);
  }

  gone(object: ResourceObject): void {
    this.#keeper.gone(object);
  }

  /** Keeps and forgets until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    using _settling = this.#options.clock.every(settleStepMs, () => {
      this.#ledger.settle();
      this.#keeper.recheck();
    });
    await Promise.all([this.#keeper.run(signal), this.#calls.run(signal)]);
  }

  #facts(workload: string): WorkloadFacts {
    const { model } = this.#options;
    const proxies = this.#ledger.holdings(workload).reduce((sum, holding) => sum + holding.proxies.length, 0);
    const asked = this.#ledger.hosts(workload);
    const mayForget = (host: string): boolean => !asked.has(host) && this.#calls.isComplete(workload);
    return { proxies, unknownHosts: model.held.unknown.get(workload), mayForget };
  }

  async #counts({ node }: AskingProxy, signal: AbortSignal): Promise<CallCounts> {
    const { namespace, pod } = nodeParts(node.id);
    const client = this.#options.member(clusterOf(node));
    if (!client) throw new WeftError("Unavailable", `the API of cluster ${clusterOf(node)} is not known`);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(countsLimitMs)]);
    const query = { format: "json" };
    return callCounts(await readAdmin(client, { namespace, pod, path: "clusters", query, signal: limit }));
  }
}
