import type { ScopeKeeper } from "#controllers/egress-scopes/keeper.ts";
import type { Model } from "#model/model.ts";
import type { Holder } from "#translate/scopes.ts";
import type { Translator } from "#translate/translator.ts";
import type { AskingProxy, Demand } from "#xds/port.ts";

/** Names that proxies of one workload may ask for; of more, nothing is learned, and they get everything. */
const defaultMostAsks = 1000;

interface Asking {
  readonly names: Set<string>;
  readonly proxies: Set<AskingProxy>;
}

/** What the ledger needs. */
export interface DemandOptions {
  readonly model: Model;
  readonly source: Pick<Translator, "workload" | "holder" | "asked">;
  /** How many names proxies of one workload may ask for; 1,000 unless told. */
  readonly mostAsks?: number;
  /** Keeps what was learned; absent where nothing is kept. */
  readonly keeper?: Pick<ScopeKeeper, "keep">;
}

/** Proxies of a workload that hold only what it calls, all in the same way. */
export interface Holding {
  /** `namespace/name`. */
  readonly workload: string;
  readonly holder: Holder;
  readonly proxies: readonly AskingProxy[];
}

/**
 * The connected proxies that can ask, and what they have asked for, by workload. Envoy asks for a name once and remembers the
 * answer, so what it asked for is answered for as long as it runs; on a new stream it says all names again.
 */
export class DemandLedger implements Demand {
  readonly #options: DemandOptions;
  readonly #workloads = new Map<string, Asking>();

  constructor(options: DemandOptions) {
    this.#options = options;
  }

  came(proxy: AskingProxy): void {
    const workload = this.#options.source.workload(proxy.class);
    if (workload !== undefined) this.#askingOf(workload).proxies.add(proxy);
  }

  asked(proxy: AskingProxy, names: readonly string[]): void {
    const { model, source, mostAsks = defaultMostAsks } = this.#options;
    const workload = source.workload(proxy.class);
    if (workload === undefined) return;
    const asking = this.#askingOf(workload);
    const before = asking.names.size;
    for (const name of names) if (asking.names.size <= mostAsks) asking.names.add(name);
    if (asking.names.size === before) return;
    const tooMany = asking.names.size > mostAsks;
    model.inputs.setAsks(workload, { names: tooMany ? [] : [...asking.names].toSorted(), tooMany });
    this.#keep(workload, source.holder(proxy.class));
  }

  left(proxy: AskingProxy): void {
    const { model, source } = this.#options;
    const workload = source.workload(proxy.class);
    const asking = workload === undefined ? undefined : this.#workloads.get(workload);
    if (workload === undefined || !asking?.proxies.delete(proxy) || asking.proxies.size > 0) return;
    this.#workloads.delete(workload);
    model.inputs.setAsks(workload, undefined);
  }

  /** Who of a workload's connected proxies holds only what it calls. */
  holdings(workload: string): readonly Holding[] {
    const proxies = [...(this.#workloads.get(workload)?.proxies ?? [])];
    return [...Map.groupBy(proxies, (proxy) => proxy.class)].flatMap(([key, same]) => {
      const holder = this.#options.source.holder(key);
      return holder ? [{ workload, holder, proxies: same }] : [];
    });
  }

  /** Hosts that connected proxies of a workload asked for by name: they hold these in any case. */
  hosts(workload: string): ReadonlySet<string> {
    return new Set(this.holdings(workload).flatMap(({ holder }) => this.#options.source.asked(holder)));
  }

  /** Keeps what is held because somebody asked, where that came to count only now, such as by a switch. */
  settle(): void {
    for (const [workload, { names }] of this.#workloads) {
      if (names.size === 0) continue;
      for (const { holder } of this.holdings(workload)) this.#keep(workload, holder);
    }
  }

  #askingOf(workload: string): Asking {
    let asking = this.#workloads.get(workload);
    if (!asking) {
      asking = { names: new Set(), proxies: new Set() };
      this.#workloads.set(workload, asking);
    }
    return asking;
  }

  #keep(workload: string, holder: Holder | undefined): void {
    const { model, source, keeper } = this.#options;
    if (!holder || !keeper) return;
    const known = new Set(model.held.known(workload));
    const news = source.asked(holder).filter((host) => !known.has(host));
    if (news.length > 0) keeper.keep(workload, news);
  }
}
