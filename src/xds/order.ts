import type { Clock } from "#base/clock.ts";
import { typeUrls, type TypeUrl } from "#proto/encoded.ts";
import type { Difference } from "./difference.ts";
import type { NameSet, NameSets } from "./names.ts";
import { Patience } from "./patience.ts";
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

/** What names clusters. */
const users: readonly TypeUrl[] = [typeUrls.listener, typeUrls.route, typeUrls.virtualHost];

/** Whether a type is taken away only when nothing names it any more. */
function isBroken(type: TypeUrl): boolean {
  return type === typeUrls.cluster || type === typeUrls.endpoints;
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
 * Make before break over one stream: listeners and routes wait until new clusters, which they may name, are taken and
 * have their endpoints (of virtual hosts only those that name one of them); clusters and endpoints are taken away when listeners and routes no longer name them. For clusters
 * that changed nothing waits: where changes never end, it would wait for ever.
 */
export class PushOrder implements Disposable {
  readonly #options: OrderOptions;
  readonly #make: Gate;
  readonly #break: Gate;
  /** Types that a proxy which came back will ask for, going by what else it holds. */
  readonly #expected = new Set<TypeUrl>();
  /** Endpoints of clusters that Envoy does not use before it has them. */
  #warming: NameSet;
  /** Clusters by their endpoints' name, where that is another than their own. */
  readonly #named = new Map<string, string>();
  readonly #patience: Patience;

  constructor(options: OrderOptions) {
    this.#options = options;
    this.#make = new Gate(options);
    this.#break = new Gate(options);
    this.#warming = options.sets.empty;
    this.#patience = new Patience(options);
  }

  /** The proxy, which came back, will ask for a type. */
  expect(type: TypeUrl): void {
    this.#expected.add(type);
  }

  /** A response went out. What the stream carries in order, Envoy takes in order: nothing need be waited for twice. */
  sent(type: TypeUrl, difference: Difference): void {
    const { sets } = this.#options;
    if (type === typeUrls.cluster) {
      // One that only changed goes on as it was while it waits.
      this.#warming = sets.plus(this.#warming, difference.warms);
      for (const { name, awaits } of difference.upserts)
        for (const endpoints of awaits) if (endpoints !== name) this.#named.set(endpoints, name);
    }
    if (type === typeUrls.endpoints) this.#warming = sets.minus(this.#warming, difference.names);
    if (this.#warming.size === 0) this.#named.clear();
  }

  /** A response was refused. A refused cluster does not come to wait for endpoints. */
  refused(type: TypeUrl, difference: Difference): void {
    if (type === typeUrls.cluster) this.#warming = this.#options.sets.minus(this.#warming, difference.awaits);
  }

  /** Whether what is new of a type may go out. */
  mayPush(type: TypeUrl): boolean {
    if (!users.includes(type)) return true;
    if (type === typeUrls.virtualHost && !this.#routesSent()) return false;
    const makers = this.#makers();
    // Routes of now may name clusters of now, even while these wait for their batch.
    for (const watch of makers) if (watch.lacking && !watch.pending) watch.due();
    if (this.#options.watch(type)?.splits) return true;
    return this.#make.open(makers.every((watch) => !watch.lacking) && this.#warming.size === 0);
  }

  /** Clusters that the proxy lacks, or lacks the endpoints of: what names them waits, but not for ever. */
  missing(): NameSet {
    const { sets } = this.#options;
    let missing = this.#warming;
    if (this.#named.size > 0)
      missing = sets.plus(
        missing,
        [...missing].flatMap((name) => this.#named.get(name) ?? []),
      );
    for (const watch of this.#makers()) if (watch.lacking) missing = sets.plus(missing, watch.lacks());
    return this.#patience.left(missing);
  }

  /** Whether what went of a type in a revision may be taken away at once, since nothing that the proxy holds names it. */
  isUnused(type: TypeUrl, revision: number): boolean {
    if (!isBroken(type)) return true;
    if (users.some((user) => this.#options.watch(user)?.refused)) return false;
    return users.every((user) => this.#holds(user, revision)) && !this.#follows(type);
  }

  /** Whether what went of a type in a revision may be taken away, or that was waited for for long enough. */
  mayRemove(type: TypeUrl, revision: number): boolean {
    if (!isBroken(type)) return true;
    // Who refuses new routes goes on with the old ones, and with the clusters that those name.
    if (users.some((user) => this.#options.watch(user)?.refused)) return false;
    if (!this.#break.open(users.every((user) => this.#holds(user, revision)))) return false;
    this.#expected.clear();
    return !this.#follows(type);
  }

  [Symbol.dispose](): void {
    this.#make[Symbol.dispose]();
    this.#break[Symbol.dispose]();
    this.#patience[Symbol.dispose]();
  }

  #makers(): readonly Watch[] {
    const { watch } = this.#options;
    return [watch(typeUrls.cluster), watch(typeUrls.endpoints)].filter((maker) => maker !== undefined);
  }

  /** Virtual hosts of a route configuration that Envoy does not have yet are lost on it. */
  #routesSent(): boolean {
    const routes = this.#options.watch(typeUrls.route);
    if (!routes?.subscription) return false;
    if (routes.behind && !routes.pending) routes.due();
    return !routes.behind;
  }

  /** Envoy drops the endpoints of a cluster that went by itself; there is nothing to take away when it has answered. */
  #follows(type: TypeUrl): boolean {
    const clusters = type === typeUrls.endpoints ? this.#options.watch(typeUrls.cluster) : undefined;
    return clusters !== undefined && (clusters.outstanding || clusters.keeping);
  }

  /** Whether the proxy has taken what there was of a type in a revision: then it names nothing that was gone by then. */
  #holds(type: TypeUrl, revision: number): boolean {
    const watch = this.#options.watch(type);
    if (watch?.subscription === undefined) return !this.#expected.has(type);
    return watch.holds(revision);
  }
}
