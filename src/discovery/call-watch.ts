import { lastUsedStepMs } from "#controllers/egress-scopes/learned.ts";
import type { ScopeKeeper } from "#controllers/egress-scopes/keeper.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Model } from "#model/model.ts";
import { parseClusterName } from "#translate/names.ts";
import type { AskingProxy } from "#xds/port.ts";
import type { DemandLedger, Holding } from "./demand.ts";

/** Requests, or connections where these are all that can be told apart, of a proxy to a cluster. */
export interface CallCount {
  /** Since the proxy began. */
  readonly begun: number;
  /** Not ended yet. */
  readonly open: number;
}

/** By the clusters' names. */
export type CallCounts = ReadonlyMap<string, CallCount>;

/** What following calls needs. */
export interface CallWatchOptions {
  readonly demand: Pick<DemandLedger, "holdings">;
  readonly keeper: Pick<ScopeKeeper, "keep" | "learned" | "workloads">;
  readonly model: Pick<Model, "held">;
  /** Asks a proxy. */
  readonly counts: (proxy: AskingProxy, signal: AbortSignal) => Promise<CallCounts>;
  /** Milliseconds after which a host that is not called is forgotten; zero for never. */
  readonly lifeMs: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Look {
  /** Milliseconds on the monotonic clock. */
  readonly at: number;
  readonly counts: CallCounts;
  /** How many looks there were before. */
  readonly before: number;
}

/** Looks at one proxy in the life of a host that is not called. */
const looksInLife = 120;
const shortestLookMs = 1000;
/** A proxy that was looked at within so many milliseconds, or three looks, is followed. */
const followedMs = 30_000;
/** Milliseconds between rounds at most. */
const longestRoundMs = 5_000;

/** Clusters that a proxy called between two looks, or since it began anew. */
function usedSince(counts: CallCounts, before: CallCounts): readonly string[] {
  return [...counts]
    .filter(([name, { begun, open }]) => open > 0 || (begun > 0 && begun !== before.get(name)?.begun))
    .map(([name]) => name);
}

/**
 * Finds out which learned hosts are still called. A proxy asks for a host once, and one that it holds from its start
 * never; but it counts what it sends. So proxies are asked for their counts, now and then, and only where a host was not seen
 * to be called for some time.
 */
export class CallWatch {
  readonly #options: CallWatchOptions;
  readonly #began: number;
  /** By workload and node id. */
  readonly #looks = new Map<string, Map<string, Look>>();

  constructor(options: CallWatchOptions) {
    this.#options = options;
    this.#began = options.clock.monotonic();
  }

  /**
   * Whether all proxies that hold what a workload calls have been looked at long enough to know what it does not call. It is
   * never so soon after the start, when proxies may still be on their way.
   */
  isComplete(workload: string): boolean {
    const { demand, clock } = this.#options;
    const now = clock.monotonic();
    const threeLooksMs = 3 * this.#lookMs();
    if (now - this.#began < threeLooksMs) return false;
    const since = now - Math.max(followedMs, threeLooksMs);
    return demand.holdings(workload).every(({ proxies }) =>
      proxies.every(({ node }) => {
        const look = this.#looks.get(workload)?.get(node.id);
        return look !== undefined && look.before > 0 && look.at >= since;
      }),
    );
  }

  /** Looks, round after round, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#options.clock.sleep(Math.min(longestRoundMs, this.#lookMs() / 2), signal);
      } catch {
        return;
      }
      await this.look(signal);
    }
  }

  /** One round: looks at the proxies that are due, one after the other. */
  async look(signal: AbortSignal): Promise<void> {
    const workloads = new Set(this.#options.keeper.workloads());
    for (const workload of this.#looks.keys()) if (!workloads.has(workload)) this.#looks.delete(workload);
    for (const workload of workloads) {
      const doubtful = this.#doubtful(workload);
      if (doubtful.size > 0) await this.#lookAt(workload, doubtful, signal);
    }
  }

  #lookMs(): number {
    return Math.max(shortestLookMs, (this.#options.lifeMs() || Infinity) / looksInLife);
  }

  async #lookAt(workload: string, doubtful: Set<string>, signal: AbortSignal): Promise<void> {
    const holdings = this.#options.demand.holdings(workload);
    const before = this.#looks.get(workload);
    const looks = new Map<string, Look>();
    this.#looks.set(workload, looks);
    for (const { node } of holdings.flatMap(({ proxies }) => proxies)) {
      const look = before?.get(node.id);
      if (look) looks.set(node.id, look);
    }
    for (const holding of holdings) {
      for (const proxy of holding.proxies) {
        if (doubtful.size === 0 || signal.aborted) return;
        for (const host of await this.#called(proxy, holding, doubtful, looks, signal)) doubtful.delete(host);
      }
    }
  }

  /** Learned hosts that were not seen to be called for some time. */
  #doubtful(workload: string): Set<string> {
    const { keeper, lifeMs, clock } = this.#options;
    const since = clock.now() - lastUsedStepMs(lifeMs());
    const old = keeper.learned(workload).filter(({ lastUsed }) => Date.parse(lastUsed) <= since);
    return new Set(lifeMs() === 0 ? [] : old.map(({ host }) => host));
  }

  /** Which of some hosts a proxy has called since the look before. */
  async #called(
    proxy: AskingProxy,
    { workload, holder }: Holding,
    hosts: ReadonlySet<string>,
    looks: Map<string, Look>,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const { counts, clock, keeper, model, logger } = this.#options;
    const { id } = proxy.node;
    const last = looks.get(id);
    if (last && clock.monotonic() - last.at < this.#lookMs()) return [];
    try {
      const now = await counts(proxy, signal);
      looks.set(id, { at: clock.monotonic(), counts: now, before: last ? last.before + 1 : 0 });
      if (!last) return [];
      const used = usedSince(now, last.counts).flatMap((name) => parseClusterName(name)?.host ?? []);
      const called = [...hosts].filter((host) => {
        const reached = model.held.reached(holder.view.client, [host]);
        return used.some((each) => reached.has(each));
      });
      keeper.keep(workload, called);
      return called;
    } catch (error) {
      // Nothing is forgotten that might be called while the proxy cannot be asked.
      logger[codeOf(error) === "Internal" ? "warn" : "debug"]("cannot see what a proxy calls", {
        node: id,
        error: messageOf(error),
      });
      return [];
    }
  }
}
