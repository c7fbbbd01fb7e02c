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

/** A resource that came to a proxy or went. */
interface Delivery {
  readonly proxy: number;
  readonly at: number;
}

const shownMissing = 5;

/** Which resources came to which proxies when. */
export class Deliveries {
  readonly #byResource = new Map<string, Delivery[]>();

  /**
   * Takes in what a response says that is news.
   * @param held what the proxy holds of the type before it: versions by name.
   */
  add(proxy: number, at: number, { type, resources, removed }: Response, held: ReadonlyMap<string, string>): void {
    const delivery = { proxy, at };
    for (const { name, version } of resources) if (held.get(name) !== version) this.#add(`${type} ${name}`, delivery);
    for (const name of removed) if (held.has(name)) this.#add(`-${type} ${name}`, delivery);
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
      for (const { proxy, at } of this.#byResource.get(change.resource) ?? []) {
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

  #add(resource: string, delivery: Delivery): void {
    const known = this.#byResource.get(resource);
    if (known) known.push(delivery);
    else this.#byResource.set(resource, [delivery]);
  }
}
