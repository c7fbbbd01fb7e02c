import type { Condition } from "#api/kubernetes/meta.ts";
import { type Cluster, type ClusterStanding, cluster as clusterKind } from "#api/weft/cluster.ts";
import { canonical } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { condition } from "./ready.ts";

/** What the writer needs. */
export interface ClusterStatusOptions {
  /** The mesh's API, where the `Cluster` objects are. */
  readonly client: Client;
  /** How a cluster stands; undefined for one that is no member. */
  readonly standing: (name: string) => ClusterStanding | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds that changes of a cluster's standing are waited for, and after which its status is compared again. */
const settleMs = 100;
const againMs = 60_000;

/** Keeps the status of the mesh's `Cluster` objects true. */
export class ClusterStatusWriter {
  readonly #options: ClusterStatusOptions;
  readonly #queue: WorkQueue;

  constructor(options: ClusterStatusOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      clock: options.clock,
      work: async (name) => this.#write(name),
      failed: (name, error) => {
        if (codeOf(error) === "NotFound") return;
        options.logger.warn("cannot write a cluster's status", { cluster: name, error: messageOf(error) });
      },
    });
  }

  /** Tells that a cluster may stand otherwise. */
  changed(name: string): void {
    this.#queue.addAfter(name, settleMs);
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  async #write(name: string): Promise<number | undefined> {
    const { client, standing, clock } = this.#options;
    const found = standing(name);
    const clusters = client.of<Cluster>(clusterKind);
    const object = found && (await clusters.find({ name }));
    // A remote secret of Istio's makes a member without an object.
    if (!object) return undefined;
    const { conditions: aspects, ...facts } = found;
    const before = object.status?.conditions;
    const conditions = aspects.map(({ type, ok, reason, message }) =>
      condition(type, before, { ready: ok, reason, message }, clock.now()),
    );
    const status = { ...facts, conditions, observedGeneration: object.metadata.generation };
    if (!saysTheSame(object.status ?? {}, status)) {
      await clusters.patch({ name }, { kind: "merge", body: { status } }, { subresource: "status" });
    }
    return againMs;
  }
}

/** Whether a status says all of another one already. */
function saysTheSame(status: object, wanted: { readonly conditions: readonly Condition[] }): boolean {
  const said: Readonly<Record<string, unknown>> = { ...status };
  return Object.entries(wanted).every(([name, value]) => canonical(said[name]) === canonical(value));
}
