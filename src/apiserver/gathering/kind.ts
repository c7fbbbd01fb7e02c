import { randomInt } from "node:crypto";
import type { Clock } from "#base/clock.ts";
import { askAll, type Teller, unreachable } from "../handlers/gathered.ts";
import { type GatheredObject, type GatheredRow, GatheredState, type VersionedRow } from "./state.ts";

/** What is needed to gather. */
export interface GatheringOptions {
  /** The group's kinds by plural. */
  readonly kinds: Readonly<Record<string, string>>;
  /** Who tells of the group's objects now. */
  readonly tellers: () => Promise<readonly Teller[]>;
  /** An object without what differs in each report: watches are told of such figures once a minute. */
  readonly steady: (object: GatheredObject) => object;
  readonly clock: Clock;
}

/** All objects of a kind at a time. */
export interface Gathered {
  readonly columns: readonly object[];
  readonly rows: readonly VersionedRow[];
  readonly version: number;
  readonly problems: readonly string[];
}

interface Told {
  readonly columnDefinitions?: readonly object[];
  readonly rows?: readonly Partial<GatheredRow>[];
}

/** Milliseconds between two questions while somebody watches, and how many times the time of an answer it is at least. */
const everyMs = 2000;
const restShare = 20;
/** Milliseconds after which what nobody asks for is forgotten. */
const idleMs = 60_000;
/** Versions that clients see tell which process made them: those of others mean nothing here. */
const nonces = 1024;
const accept = "application/json;as=Table;g=meta.k8s.io;v=v1";

function rowsOf({ rows = [] }: Told): readonly GatheredRow[] {
  return rows.flatMap(({ cells = [], object }) => (object?.metadata ? [{ cells, object }] : []));
}

/** The objects of one kind, which several servers tell of: asked for anew while somebody watches. */
export class GatheredKind {
  /** What the kind is called. */
  readonly name: string;
  readonly #options: GatheringOptions;
  readonly #path: string;
  readonly #state: GatheredState;
  readonly #nonce = randomInt(nonces);
  readonly #waiting = new Set<() => void>();
  /** How often it was asked, and which question's answer was taken in last. */
  #asked = 0;
  #taken = 0;
  #followers = 0;
  #asking = false;
  #columns: readonly object[] = [];
  #idle: Disposable | undefined;

  /**
   * @param path where all objects of the kind are listed.
   * @param name what the kind is called.
   */
  constructor(options: GatheringOptions, path: string, name: string) {
    this.name = name;
    this.#options = options;
    this.#path = path;
    this.#state = new GatheredState(options.clock.now(), options.steady);
  }

  /** Columns of tables. */
  get columns(): readonly object[] {
    return this.#columns;
  }

  /** What has changed, and since when that is known. */
  get state(): GatheredState {
    return this.#state;
  }

  /** A version as clients see it. */
  shown(version: number): string {
    return String(version * nonces + this.#nonce);
  }

  /** What clients see, as a version; undefined for one of another process, or of another time. */
  version(shown: number): number | undefined {
    const version = Math.floor(shown / nonces);
    return shown % nonces === this.#nonce && this.#state.knows(version) ? version : undefined;
  }

  /** Asks all. @throws ApiError `ServiceUnavailable` when nobody answers. */
  async gather(signal: AbortSignal): Promise<Gathered> {
    const { tellers, clock } = this.#options;
    this.#use();
    this.#asked += 1;
    const [turn, before] = [this.#asked, this.#state.version];
    const path = `${this.#path}?includeObject=Object`;
    const { all, good, problems } = await askAll(await tellers(), { path, accept, signal });
    if (good.length === 0) throw unreachable(problems);
    const told = good.map(({ body }) => JSON.parse(body.toString("utf8")) as Told);
    // A proxy that has just moved from one control plane to another is told of by both.
    const rows = [
      ...new Map(
        told.flatMap(rowsOf).map((row) => [`${row.object.metadata.namespace}/${row.object.metadata.name}`, row]),
      ).values(),
    ];
    const columns = told[0]?.columnDefinitions ?? [];
    const newest = turn > this.#taken;
    if (newest) {
      this.#taken = turn;
      this.#columns = columns;
      this.#state.apply(rows, problems.length === 0 && all.length === good.length, clock.now());
      for (const wake of this.#waiting) wake();
    }
    const version = newest ? this.#state.version : before;
    const versioned = rows.map((row) => ({ ...row, version: this.#state.versionOf(row.object) }));
    return { columns, rows: versioned, version, problems };
  }

  /** Sees to it that changes become known until disposed. */
  follow(): Disposable {
    this.#followers += 1;
    void this.#ask();
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (!left) this.#followers -= 1;
        left = true;
        this.#use();
      },
    };
  }

  /** Resolves when all were asked anew, or the signal aborts. */
  async asked(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const stop = (): void => resolve();
    signal.addEventListener("abort", stop, { once: true });
    if (!signal.aborted) await promise;
    signal.removeEventListener("abort", stop);
    this.#waiting.delete(resolve);
  }

  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const { clock } = this.#options;
    const never = new AbortController().signal;
    while (this.#followers > 0) {
      const before = clock.now();
      // Who cannot be reached is asked again; who watches is told then.
      await this.gather(never).catch(() => undefined);
      const took = clock.now() - before;
      const { promise, resolve } = Promise.withResolvers<void>();
      using _timer = clock.after(Math.max(everyMs, restShare * took), resolve);
      await promise;
    }
    this.#asking = false;
  }

  #use(): void {
    this.#idle?.[Symbol.dispose]();
    this.#idle = this.#options.clock.after(idleMs, () => {
      if (this.#followers === 0) this.#state.clear();
    });
  }
}
