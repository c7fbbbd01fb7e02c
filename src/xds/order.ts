import type { Clock } from "#base/clock.ts";
import { typeUrls, type TypeUrl } from "#proto/encoded.ts";
import type { Difference } from "./difference.ts";
import type { NameSet, NameSets } from "./names.ts";
import type { Watch } from "./watch.ts";

/** What the order of one stream needs. */
export interface OrderOptions {
  readonly watch: (type: TypeUrl) => Watch | undefined;
  readonly sets: NameSets;
  readonly clock: Clock;
  /** Milliseconds to wait for a proxy that does not answer. */
  readonly timeoutMs: number;
  /** Waiting was given up. */
  readonly expired: () => void;
}

/** A condition that is waited for, but not for ever. */
class Gate implements Disposable {
  readonly #options: OrderOptions;
  #timer: Disposable | undefined;
  #expired = false;

  constructor(options: OrderOptions) {
    this.#options = options;
  }

  /** Whether to go on: when ready, or when that took too long. */
  open(ready: boolean): boolean {
    if (ready) {
      this.#expired = false;
      this[Symbol.dispose]();
      return true;
    }
    if (!this.#expired) this.#timer ??= this.#options.clock.after(this.#options.timeoutMs, () => this.#expire());
    return this.#expired;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #expire(): void {
    this.#timer = undefined;
    this.#expired = true;
    this.#options.expired();
  }
}

/**
 * Make before break over one stream: listeners and routes wait until the clusters that they may name are taken and
 * have their endpoints; clusters and endpoints are taken away when listeners and routes no longer name them.
 */
export class PushOrder implements Disposable {
  readonly #options: OrderOptions;
  readonly #make: Gate;
  readonly #break: Gate;
  /** Endpoints that Envoy waits for since it got their clusters. */
  #warming: NameSet;

  constructor(options: OrderOptions) {
    this.#options = options;
    this.#make = new Gate(options);
    this.#break = new Gate(options);
    this.#warming = options.sets.empty;
  }

  /** A response went out whose resources wait for others. */
  sent(type: TypeUrl, awaits: NameSet): void {
    if (type === typeUrls.cluster) this.#warming = this.#options.sets.plus(this.#warming, awaits);
  }

  /** A response was answered. A refused cluster does not come to wait for endpoints. */
  answered(type: TypeUrl, { names, awaits }: Difference, refused: boolean): void {
    const { sets } = this.#options;
    if (type === typeUrls.endpoints) this.#warming = sets.minus(this.#warming, names);
    if (type === typeUrls.cluster && refused) this.#warming = sets.minus(this.#warming, awaits);
  }

  /** Whether what is new of a type may go out. */
  mayPush(type: TypeUrl): boolean {
    if (type !== typeUrls.listener && type !== typeUrls.route) return true;
    return this.#make.open(this.#settled(typeUrls.cluster) && this.#warming.size === 0);
  }

  /** Whether what is gone of a type may be taken away. */
  mayRemove(type: TypeUrl): boolean {
    if (type !== typeUrls.cluster && type !== typeUrls.endpoints) return true;
    if (!this.#break.open(this.#settled(typeUrls.listener) && this.#settled(typeUrls.route))) return false;
    // Envoy drops the endpoints of a cluster that went by itself; there is nothing to take away when it has answered.
    return type === typeUrls.cluster || !this.#leaving(typeUrls.cluster);
  }

  [Symbol.dispose](): void {
    this.#make[Symbol.dispose]();
    this.#break[Symbol.dispose]();
  }

  #leaving(type: TypeUrl): boolean {
    const watch = this.#options.watch(type);
    return watch !== undefined && (watch.outstanding || watch.keeping);
  }

  #settled(type: TypeUrl): boolean {
    const watch = this.#options.watch(type);
    return !watch || !(watch.pending || watch.outstanding);
  }
}
