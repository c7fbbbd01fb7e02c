import type { Clock } from "#base/clock.ts";
import { Allowance } from "#base/allowance.ts";
import type { XdsLimits } from "./limits.ts";

/** What is limited. */
export type Charge = "requests" | "requestBytes" | "names" | "answeredBytes" | "streams";

/** What one proxy may still spend, over all of its streams. */
export class Account<S> {
  /** Its streams, the oldest first. */
  readonly streams = new Set<S>();
  /** Overdrawn by a proxy that reconnects more often than one that is well. */
  readonly reconnects: Allowance;
  /** Overdrawn by a proxy that refuses more than the search for what it does not take makes it. */
  readonly refusals: Allowance;
  readonly #allowances: ReadonlyMap<Charge, Allowance>;
  /** What may still be: few proxies ever overdraw, and all are asked at each request. */
  readonly #overdrawn = new Set<Charge>();

  constructor(limits: XdsLimits, monotonic: () => number) {
    const { longestHoldMs } = limits;
    const allowance = (perSecond: number, burst: number): Allowance =>
      new Allowance(perSecond, burst, longestHoldMs, monotonic);
    this.reconnects = allowance(limits.reconnectsPerMinute / 60, limits.reconnectsPerMinute);
    this.refusals = allowance(1, limits.refusalBurst);
    this.#allowances = new Map([
      ["requests", allowance(limits.requestsPerSecond, limits.requestBurst)],
      ["requestBytes", allowance(limits.requestBytesPerSecond, limits.requestBytesBurst)],
      ["names", allowance(limits.namesPerSecond, limits.nameBurst)],
      ["answeredBytes", allowance(limits.answeredBytesPerSecond, limits.answeredBytesBurst)],
      ["streams", allowance(limits.streamsPerSecond, limits.streamBurst)],
    ]);
  }

  /** Spends some of one allowance. */
  spend(charge: Charge, amount: number): void {
    if (this.#allowances.get(charge)?.spend(amount) === false) this.#overdrawn.add(charge);
  }

  /** What is overdrawn the most, and for how many milliseconds; undefined where nothing is. */
  debt(): { readonly charge: Charge; readonly ms: number } | undefined {
    let worst: { readonly charge: Charge; readonly ms: number } | undefined;
    for (const charge of this.#overdrawn) {
      const ms = this.#allowances.get(charge)?.waitMs ?? 0;
      if (ms === 0) this.#overdrawn.delete(charge);
      else if (ms > (worst?.ms ?? 0)) worst = { charge, ms };
    }
    return worst;
  }
}

/** Accounts that are remembered of proxies that are away. */
const mostAccounts = 20_000;

/** The accounts of proxies by their node ids: who reconnects finds its own as it was left. */
export class Accounts<S> {
  readonly #limits: XdsLimits;
  readonly #clock: Clock;
  /** Those of proxies that are connected. */
  readonly #open = new Map<string, Account<S>>();
  /** The others, in the order in which they left. */
  readonly #away = new Map<string, Account<S>>();

  constructor(limits: XdsLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** An account of its own, for a stream whose proxy is not known yet. */
  anonymous(): Account<S> {
    return new Account(this.#limits, () => this.#clock.monotonic());
  }

  /** Whether a proxy is, or was lately, connected. */
  knows(node: string): boolean {
    return this.#open.has(node) || this.#away.has(node);
  }

  /** Enters a stream of a proxy. */
  enter(node: string, stream: S): Account<S> {
    const account = this.#open.get(node) ?? this.#away.get(node) ?? this.anonymous();
    this.#away.delete(node);
    this.#open.set(node, account);
    account.streams.add(stream);
    return account;
  }

  /** A stream ended. */
  leave(node: string, stream: S): void {
    const account = this.#open.get(node);
    if (!account?.streams.delete(stream) || account.streams.size > 0) return;
    this.#open.delete(node);
    this.#away.set(node, account);
    const [oldest] = this.#away.keys();
    if (this.#away.size > mostAccounts && oldest !== undefined) this.#away.delete(oldest);
  }

  /** The newest stream of a proxy. */
  newest(node: string): S | undefined {
    return [...(this.#open.get(node)?.streams ?? [])].at(-1);
  }

  /** The streams of each proxy that is connected more than once, the oldest first. */
  *repeated(): Generator<readonly S[]> {
    for (const { streams } of this.#open.values()) if (streams.size > 1) yield [...streams];
  }
}
