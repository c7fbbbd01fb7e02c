import { type Mesh, mesh as meshKind } from "#api/weft/mesh.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { type Readiness, readyCondition } from "./ready.ts";

/** How a control plane's proxies stand, in numbers. */
export interface ProxyCounts {
  readonly connected: number;
  /** Those that have acknowledged the newest of every type. */
  readonly inSync: number;
  /** Those that refuse something. */
  readonly refusing: number;
}

/** What the writer needs. */
export interface MeshStatusOptions {
  /** The mesh's API. */
  readonly client: Client;
  /** The `Mesh` object's name. */
  readonly mesh: string;
  readonly proxies: () => ProxyCounts;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between looks at the proxies, which are for people. */
const everyMs = 15_000;
/** The same while some are behind. */
const unsettledMs = 2_000;
/** Milliseconds that proxies which come or go together are waited for. */
const settleMs = 1_000;

function readinessOf({ connected, inSync, refusing }: ProxyCounts): Readiness {
  const proxies = `${connected} ${connected === 1 ? "proxy" : "proxies"} connected, ${inSync} in sync`;
  // A proxy that refuses keeps its last good state, so the mesh goes on: the object to blame tells the rest.
  return { ready: true, reason: "Serving", message: refusing === 0 ? proxies : `${proxies}, ${refusing} refusing` };
}

/** Keeps the status of the `Mesh` object true: its control plane serves, and how its proxies stand. */
export class MeshStatusWriter {
  readonly #options: MeshStatusOptions;
  readonly #queue: WorkQueue;

  constructor(options: MeshStatusOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      clock: options.clock,
      work: async (name) => this.#write(name),
      failed: (name, error) => {
        const level = codeOf(error) === "Unavailable" ? "debug" : "warn";
        options.logger[level]("cannot write the mesh's status", { mesh: name, error: messageOf(error) });
      },
    });
  }

  /** Proxies have come or gone. */
  changed(): void {
    this.#queue.addAfter(this.#options.mesh, settleMs);
  }

  /** Writes now and from then on every so often, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#queue.add(this.#options.mesh);
    await this.#queue.run(signal);
  }

  async #write(name: string): Promise<number> {
    const { client, proxies, clock } = this.#options;
    const meshes = client.of<Mesh>(meshKind);
    const object = await meshes.find({ name });
    if (object === undefined) return everyMs;
    const { status, metadata } = object;
    const before = status?.conditions ?? [];
    const counts = proxies();
    const again = counts.inSync === counts.connected ? everyMs : unsettledMs;
    const ready = readyCondition(before, readinessOf(counts), clock.now());
    const known = before.find(({ type }) => type === "Ready");
    if (equal(known, ready) && status?.observedGeneration === metadata.generation) return again;
    const conditions = [...before.filter(({ type }) => type !== "Ready"), ready];
    const body = { status: { conditions, observedGeneration: metadata.generation } };
    await meshes.patch({ name }, { kind: "merge", body }, { subresource: "status" });
    return again;
  }
}
