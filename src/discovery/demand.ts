import type { ScopeKeeper } from "#controllers/egress-scopes/keeper.ts";
import type { Model } from "#model/model.ts";
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

/**
 * What connected proxies have asked for, by workload. Envoy asks for a name once and remembers the answer, so what it asked
 * for is answered for as long as it runs; on a new stream it says all names again.
 */
export class DemandLedger implements Demand {
  readonly #options: DemandOptions;
  readonly #workloads = new Map<string, Asking>();

  constructor(options: DemandOptions) {
    this.#options = options;
  }

  asked(proxy: AskingProxy, names: readonly string[]): void {
    const { model, source, mostAsks = defaultMostAsks } = this.#options;
    const workload = source.workload(proxy.class);
    if (workload === undefined) return;
    const asking = this.#workloads.get(workload) ?? { names: new Set<string>(), proxies: new Set<AskingProxy>() };
    this.#workloads.set(workload, asking);
    asking.proxies.add(proxy);
    const before = asking.names.size;
    for (const name of names) if (asking.names.size <= mostAsks) asking.names.add(name);
    if (asking.names.size === before) return;
    const tooMany = asking.names.size > mostAsks;
    model.inputs.setAsks(workload, { names: tooMany ? [] : [...asking.names].toSorted(), tooMany });
    this.#keep(workload, proxy);
  }

  left(proxy: AskingProxy): void {
    const { model, source } = this.#options;
    const workload = source.workload(proxy.class);
    const asking = workload === undefined ? undefined : this.#workloads.get(workload);
    if (workload === undefined || !asking?.proxies.delete(proxy) || asking.proxies.size > 0) return;
    this.#workloads.delete(workload);
    model.inputs.setAsks(workload, undefined);
  }

  /** Keeps what is held because somebody asked, where that came to count only now, such as by a switch. */
  settle(): void {
    for (const [workload, { proxies }] of this.#workloads) {
      for (const proxy of proxies) this.#keep(workload, proxy);
    }
  }

  #keep(workload: string, proxy: AskingProxy): void {
    const { model, source, keeper } = this.#options;
    const holder = keeper && source.holder(proxy.class);
    if (!holder) return;
    const known = new Set(model.held.known(workload));
    const news = source.asked(holder).filter((host) => !known.has(host));
    if (news.length > 0) keeper.keep(workload, news);
  }
}
