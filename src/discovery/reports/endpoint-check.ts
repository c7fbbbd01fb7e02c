import type { EndpointHashes, ReportQuestion } from "#api/weft/proxy-report.ts";
import type { Clock } from "#base/clock.ts";
import type { DueEndpoints } from "#xds/port.ts";
import type { HeldReport } from "./reports.ts";
import { addressesIn, SentEndpoints } from "./sent-endpoints.ts";

/** A cluster of which a proxy has long held other endpoints than it is to hold. */
export interface StaleCluster {
  readonly cluster: string;
  /** Milliseconds since the epoch when it was first seen. */
  readonly since: number;
  /** Addresses that Envoy holds and is not to, and the other way; absent while its agent has not told. */
  readonly surplus?: readonly string[];
  readonly missing?: readonly string[];
}

/** What came of comparing a proxy's endpoints. */
export interface EndpointVerdict {
  /** `Differs` is what Envoy has had little time to take, or what its agent has not been asked about yet. */
  readonly state: "InSync" | "Differs" | "Stale";
  readonly stale: readonly StaleCluster[];
  /** How many clusters are stale: the first of them are told. */
  readonly count: number;
}

/** What the check needs. */
export interface EndpointCheckOptions {
  /** What a proxy is to hold. */
  readonly due: (node: string) => DueEndpoints | undefined;
  /** Asks a proxy's agent. */
  readonly ask: (node: string, question: ReportQuestion) => void;
  /** A proxy came to hold other endpoints than it should for too long, or does not any more. */
  readonly changed: () => void;
  readonly clock: Clock;
  /** Milliseconds that a proxy may hold other endpoints of a cluster than it is to hold; 30 seconds unless told. */
  readonly staleMs?: number;
}

/** A cluster that differs: by what it is to have, and since when. */
interface Difference {
  readonly due: string;
  readonly since: number;
}

/** What is known of a proxy that differs. */
interface Suspect {
  askedAt: number;
  /** What it is to hold, since when, and whether its agent has answered since. */
  due: string;
  dueSince: number;
  answered: boolean;
  /** Clusters that an answer has told of so far. */
  readonly told: Set<string>;
  differences: ReadonlyMap<string, Difference>;
  /** Those found so far while an answer comes in. */
  found: Map<string, Difference>;
  stale: readonly StaleCluster[];
  count: number;
}

const defaultStaleMs = 30_000;
/** For how many times as long as a cluster may differ an agent may leave unanswered which does. */
const unansweredLimit = 3;
/** Part of that time after which a second answer says the same. */
const nearly = 0.9;
/** Clusters that are remembered as different, and those of them that are told. */
const mostDifferences = 1000;
const mostTold = 5;

/**
 * Compares what Envoys hold with what they are to hold. Agents tell one hash of all; only where that differs they are asked for more, and only
 * what differs for long is a fault: changes are on their way all the time.
 */
export class EndpointCheck {
  readonly #options: EndpointCheckOptions;
  readonly #staleMs: number;
  readonly #sent = new SentEndpoints();
  readonly #suspects = new Map<string, Suspect>();

  constructor(options: EndpointCheckOptions) {
    this.#options = options;
    this.#staleMs = options.staleMs ?? defaultStaleMs;
  }

  /** Looks at a proxy: when a report came, and now and then, since what it is to hold changes too. */
  look({ node: { id }, report: { endpoints } }: Pick<HeldReport, "node" | "report">): void {
    const due = endpoints && this.#options.due(id);
    if (!due) return;
    if (this.#sent.sets(due).hash === endpoints.hash) this.#clear(id);
    else this.#ask(id, this.#sent.sets(due).hash);
  }

  /** A part of an answer came. */
  hashes(id: string, { hashes, part }: EndpointHashes): void {
    const suspect = this.#suspects.get(id);
    const due = this.#options.due(id);
    if (!suspect || !due) return;
    const { hashes: wanted } = this.#sent.sets(due);
    for (const [cluster, hash] of Object.entries(hashes)) {
      suspect.told.add(cluster);
      if ((wanted.get(cluster) ?? "") !== hash) this.#differs(suspect, cluster, wanted.get(cluster) ?? "");
    }
    if (part === "more") return;
    suspect.answered = true;
    if (part === "end")
      for (const [cluster, hash] of wanted) if (!suspect.told.has(cluster)) this.#differs(suspect, cluster, hash);
    this.#settle(id, suspect);
  }

  /** The addresses of stale clusters came. */
  addresses(id: string, told: Readonly<Record<string, readonly string[]>>): void {
    const suspect = this.#suspects.get(id);
    const due = this.#options.due(id);
    if (!suspect || !due) return;
    const named = new Set(suspect.stale.map(({ cluster }) => cluster));
    const wanted = new Map<string, readonly string[]>();
    for (const resource of due.resources())
      if (named.has(resource.name)) wanted.set(resource.name, addressesIn(resource));
    suspect.stale = suspect.stale.map(({ cluster, since }) => {
      const [held, sent] = [new Set(told[cluster]), new Set(wanted.get(cluster))];
      return { cluster, since, surplus: [...held.difference(sent)], missing: [...sent.difference(held)] };
    });
    this.#options.changed();
  }

  /** Forgets all proxies but those that are there. */
  keep(there: ReadonlySet<string>): void {
    for (const id of this.#suspects.keys()) if (!there.has(id)) this.#clear(id);
  }

  /** What came of it; undefined of a proxy whose agent does not tell. */
  verdict({ node: { id }, report: { endpoints } }: Pick<HeldReport, "node" | "report">): EndpointVerdict | undefined {
    if (!endpoints) return undefined;
    const suspect = this.#suspects.get(id);
    if (!suspect) return { state: "InSync", stale: [], count: 0 };
    const { stale, count } = suspect;
    return { state: count > 0 ? "Stale" : "Differs", stale, count };
  }

  #ask(id: string, due: string): void {
    const now = this.#options.clock.monotonic();
    const suspect: Suspect = this.#suspects.get(id) ?? {
      askedAt: -Infinity,
      due,
      dueSince: this.#options.clock.now(),
      answered: false,
      told: new Set(),
      differences: new Map(),
      found: new Map(),
      stale: [],
      count: 0,
    };
    this.#suspects.set(id, suspect);
    this.#waited(suspect, due);
    // Under steady change there is always something on its way: what is asked costs the Envoy.
    if (now - suspect.askedAt < this.#staleMs) return;
    suspect.askedAt = now;
    suspect.told.clear();
    suspect.found = new Map();
    this.#options.ask(id, { ask: "hashes" });
  }

  /** An agent that does not say which clusters differ does not keep it from being told that some do. */
  #waited(suspect: Suspect, due: string): void {
    const now = this.#options.clock.now();
    if (suspect.due !== due) {
      suspect.due = due;
      suspect.dueSince = now;
      suspect.answered = false;
    }
    if (suspect.answered || suspect.count > 0 || now - suspect.dueSince < unansweredLimit * this.#staleMs) return;
    suspect.count = 1;
    this.#options.changed();
  }

  #differs({ differences, found }: Suspect, cluster: string, due: string): void {
    if (found.size >= mostDifferences) return;
    const before = differences.get(cluster);
    // What it is to hold has changed since: the time that it has for that begins anew.
    found.set(cluster, before?.due === due ? before : { due, since: this.#options.clock.now() });
  }

  #settle(id: string, suspect: Suspect): void {
    if (suspect.found.size === 0) {
      this.#clear(id);
      return;
    }
    suspect.differences = suspect.found;
    const before = this.#options.clock.now() - this.#staleMs * nearly;
    const old = [...suspect.differences].filter(([, { since }]) => since <= before);
    const known = new Map(suspect.stale.map((each) => [each.cluster, each]));
    const stale = old.slice(0, mostTold).map(([cluster, { since }]) => known.get(cluster) ?? { cluster, since });
    const isNews = old.length !== suspect.count;
    suspect.stale = stale;
    suspect.count = old.length;
    if (stale.length > 0) this.#options.ask(id, { ask: "addresses", clusters: stale.map(({ cluster }) => cluster) });
    if (isNews) this.#options.changed();
  }

  #clear(id: string): void {
    const suspect = this.#suspects.get(id);
    if (this.#suspects.delete(id) && suspect && suspect.count > 0) this.#options.changed();
  }
}
