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

const shownMissing = 5;

/** What came to one proxy, and when, as it came. */
interface Log {
  readonly responses: Response[];
  readonly times: number[];
}

/** Which resources came to which proxies when. While changes go on, no more is done than to write down what came. */
export class Deliveries {
  readonly #logs = new Map<number, Log>();

  /** A response came to a proxy: each of those that it got since it had nothing, in their order. */
  add(proxy: number, at: number, response: Response): void {
    const log = this.#logs.get(proxy) ?? { responses: [], times: [] };
    this.#logs.set(proxy, log);
    log.responses.push(response);
    log.times.push(at);
  }

  /**
   * Puts changes down to deliveries: the first one after a change was sent brings it.
   * @param concerned the proxies that a change concerns and that are looked at.
   */
  speed(changes: readonly StormChange[], concerned: (change: StormChange) => ReadonlySet<number>): Speed {
    const byResource = this.#byResource();
    const latencies: number[] = [];
    const missing: string[] = [];
    let missed = 0;
    for (const change of changes) {
      const waiting = new Set(concerned(change));
      for (const [proxy, at] of byResource.get(change.resource) ?? []) {
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

  /** Where and when each resource was news, by `type name`; where it was taken away with `-` before it. */
  #byResource(): ReadonlyMap<string, Stamps> {
    const all = new Map<string, Stamps>();
    const stamp = (resource: string, proxy: number, at: number): void => {
      const stamps = all.get(resource) ?? new Stamps();
      all.set(resource, stamps);
      stamps.add(proxy, at);
    };
    for (const [proxy, { responses, times }] of this.#logs) {
      const held = new Map<string, Map<string, string>>();
      for (const [index, { type, resources, removed }] of responses.entries()) {
        const at = times[index] ?? 0;
        const versions = held.get(type) ?? new Map<string, string>();
        held.set(type, versions);
        for (const { name, version } of resources) {
          if (versions.get(name) === version) continue;
          versions.set(name, version);
          stamp(`${type} ${name}`, proxy, at);
        }
        for (const name of removed) if (versions.delete(name)) stamp(`-${type} ${name}`, proxy, at);
      }
    }
    return all;
  }
}
