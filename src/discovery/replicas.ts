import { type Lease, lease as leaseKind } from "#api/kubernetes/lease.ts";
import {
  type ProxyApiPlace,
  proxyApiAnnotation,
  replicaLabel as label,
  replicaLabelValue as labelValue,
  replicaPlace,
} from "#api/weft/replicas.ts";
import { defaultRevisionName, revisionLabel } from "#api/weft/revisions.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";
import type { ProxyCounts } from "#status/mesh.ts";
import { Balance } from "./balance.ts";
import { parseCounts, printCounts, sumCounts } from "./proxy-counts.ts";

/** What replicas of a control plane need to know of each other. */
export interface ReplicasOptions {
  /** The mesh's API. */
  readonly client: Client;
  /** Where their Leases are: Istio's root namespace. */
  readonly namespace: string;
  /** This replica's name, unlike every other's. */
  readonly name: string;
  /** The revision that it is of: proxies move among replicas of one revision alone. */
  readonly revision: string;
  /** How this replica's own proxies stand. */
  readonly own: () => ProxyCounts;
  /** Where API servers of other machines are told of its proxies. */
  readonly api?: ProxyApiPlace;
  /** Called when others' proxies stand otherwise than before. */
  readonly changed: () => void;
  /** Has so many of this replica's proxies connect anew, so that others get them. */
  readonly move: (count: number) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How a replica's proxies stand, as JSON of `ProxyCounts`; its clusters as members of an object. */
const annotation = "mesh.weft.dev/proxies";

/** Milliseconds between looks, and after which a replica that renews its Lease no more is gone. */
const everyMs = 3_000;
const goneMs = 15_000;
/** Milliseconds after which its Lease is removed. */
const removedMs = 10 * goneMs;

/** Another replica as it was last seen. */
interface Seen {
  readonly version: string;
  /** On the monotonic clock: others' clocks are not believed. */
  readonly since: number;
  readonly counts: ProxyCounts;
  readonly revision: string;
}

/**
 * Replicas of one control plane, side by side. Each keeps a Lease of its own, as nodes of Kubernetes do, which says that it lives and how its
 * proxies stand; so the one that writes statuses counts the proxies of all.
 */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #others = new Map<string, Seen>();
  readonly #balance: Balance;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.#balance = new Balance(options.clock);
  }

  /** How the proxies of all replicas stand; of others as they were some seconds ago. */
  get counts(): ProxyCounts {
    return this.#living.map(({ counts }) => counts).reduce(sumCounts, this.#options.own());
  }

  get #living(): readonly Seen[] {
    const now = this.#options.clock.monotonic();
    return [...this.#others.values()].filter(({ since }) => now - since < goneMs);
  }

  /** Keeps its own Lease and reads the others' until the signal aborts; then its own is removed. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, name } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#tell();
        const before = this.counts.connected;
        await this.#look();
        if (this.counts.connected !== before) this.#options.changed();
        this.#even();
      } catch (error) {
        logger.debug("replicas cannot be read or told", { replica: name, error: messageOf(error) });
      }
      // Rejects when the signal aborts: then the work is over.
      await clock.sleep(everyMs, signal).catch(() => undefined);
    }
    await this.#remove(this.#place(name)).catch(() => undefined);
  }

  /** Lets others have proxies that this replica has too many of. */
  #even(): void {
    const { own, logger, move, name, revision } = this.#options;
    const others = this.#living.filter((other) => other.revision === revision);
    const count = this.#balance.excess(
      own().connected,
      others.map(({ counts }) => counts.connected),
    );
    if (count === 0) return;
    logger.info("other replicas have fewer proxies: some are to connect anew", { replica: name, proxies: count });
    move(count);
  }

  #place(name: string): { readonly namespace: string; readonly name: string } {
    return replicaPlace(this.#options.namespace, name);
  }

  async #tell(): Promise<void> {
    const { client, name, revision, own, api, clock } = this.#options;
    const leases = client.of<Lease>(leaseKind);
    const renewTime = new Date(clock.now()).toISOString().replace("Z", "000Z");
    const spec = { holderIdentity: name, leaseDurationSeconds: goneMs / 1000, renewTime };
    const annotations = {
      [annotation]: printCounts(own()),
      ...(api && { [proxyApiAnnotation]: JSON.stringify(api) }),
    };
    const metadata = { labels: { [label]: labelValue, [revisionLabel]: revision }, annotations };
    const place = this.#place(name);
    try {
      await leases.patch(place, { kind: "merge", body: { metadata, spec } });
    } catch (error) {
      if (codeOf(error) !== "NotFound") throw error;
      await leases.create({ metadata: { ...place, ...metadata }, spec });
    }
  }

  async #look(): Promise<void> {
    const { client, namespace, name, clock } = this.#options;
    const selection = { namespace, labelSelector: `${label}=${labelValue}` };
    const { items } = await client.of<Lease>(leaseKind).list(selection);
    const now = clock.monotonic();
    const there = new Set<string>();
    for (const lease of items) {
      const { name: of, resourceVersion: version } = lease.metadata;
      if (of === this.#place(name).name) continue;
      there.add(of);
      const seen = this.#others.get(of);
      const { annotations = {}, labels = {} } = lease.metadata;
      const { [revisionLabel]: revision = defaultRevisionName } = labels;
      if (seen?.version !== version)
        this.#others.set(of, { version, since: now, counts: parseCounts(annotations[annotation]), revision });
      else if (now - seen.since > removedMs) await this.#remove({ namespace, name: of });
    }
    for (const of of this.#others.keys()) if (!there.has(of)) this.#others.delete(of);
  }

  async #remove(place: { readonly namespace: string; readonly name: string }): Promise<void> {
    await this.#options.client.of<Lease>(leaseKind).delete(place);
  }
}
