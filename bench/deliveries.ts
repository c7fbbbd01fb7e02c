import { quantile } from "./quantile.ts";
import type { StormChange } from "./storm-load.ts";
import type { Response } from "./xds-wire.ts";

/** How fast changes came to the proxies that they concern. Times are milliseconds from the API's acknowledgement. */
export interface Speed {
  readonly deliveries: number;
  readonly p50: number;
  readonly p99: number;
  readonly last: number;
  /** Changes that did not come to a proxy that they concern, by proxy and resource: the first few, and how many. */
  readonly missing: readonly string[];
  readonly missed: number;
}

/** Which proxies something came to, and when: numbers, since there are millions. */
class Stamps {
  size = 0;
  #proxies = new Int32Array(64);
  #times = new Float64Array(64);

  add(proxy: number, at: number): void {
    if (this.size === this.#proxies.length) {
      const [proxies, times] = [new Int32Array(2 * this.size), new Float64Array(2 * this.size)];
      proxies.set(this.#proxies);
      times.set(this.#times);
      [this.#proxies, this.#times] = [proxies, times];
    }
    this.#proxies[this.size] = proxy;
    this.#times[this.size] = at;
    this.size += 1;
  }

  *[Symbol.iterator](): Generator<readonly [proxy: number, at: number]> {
    for (let at = 0; at < this.size; at += 1) yield [this.#proxies[at] ?? 0, this.#times[at] ?? 0];
  }
}

/** A response with what is known of each of its resources, and of each name that it takes away. */
interface Places {
  readonly resources: readonly { readonly name: string; readonly version: string; readonly stamps: Stamps }[];
  readonly removed: readonly { readonly name: string; readonly stamps: Stamps }[];
}

const shownMissing = 5;

/** Which resources came to which proxies when. */
export class Deliveries {
  readonly #byResource = new Map<string, Stamps>();
  readonly #places = new WeakMap<Response, Places>();

  /**
   * Takes in what a response says that is news.
   * @param held what the proxy holds of the type before it: versions by name.
   */
  add(proxy: number, at: number, response: Response, held: ReadonlyMap<string, string>): void {
    let places = this.#places.get(response);
    if (!places) {
      places = this.#placesOf(response);
      this.#places.set(response, places);
    }
    for (const { name, version, stamps } of places.resources) if (held.get(name) !== version) stamps.add(proxy, at);
    for (const { name, stamps } of places.removed) if (held.has(name)) stamps.add(proxy, at);
  }

  /**
   * Puts changes down to deliveries: the first one after a change was sent brings it.
   * @param concerned the proxies that a change concerns and that are looked at.
   */
  speed(changes: readonly StormChange[], concerned: (change: StormChange) => ReadonlySet<number>): Speed {
    const latencies: number[] = [];
    const missing: string[] = [];
    let missed = 0;
    for (const change of changes) {
      const waiting = new Set(concerned(change));
      for (const [proxy, at] of this.#byResource.get(change.resource) ?? []) {
        if (at >= change.sent && waiting.delete(proxy)) latencies.push(Math.max(0, at - change.acknowledged));
      }
      missed += waiting.size;
      for (const proxy of waiting)
        if (missing.length < shownMissing) missing.push(`${change.resource} to proxy ${proxy}`);
    }
    const sorted = Float64Array.from(latencies).sort();
    const [p50, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
    return { deliveries: sorted.length, p50, p99, last: sorted.at(-1) ?? 0, missing, missed };
  }

  #placesOf({ type, resources, removed }: Response): Places {
    return {
      resources: resources.map(({ name, version }) => ({ name, version, stamps: this.#stampsOf(`${type} ${name}`) })),
      removed: removed.map((name) => ({ name, stamps: this.#stampsOf(`-${type} ${name}`) })),
    };
  }

  #stampsOf(resource: string): Stamps {
    const known = this.#byResource.get(resource) ?? new Stamps();
    this.#byResource.set(resource, known);
    return known;
  }
}
