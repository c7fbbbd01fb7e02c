import { node } from "#api/kubernetes/node.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { type Readiness, readyCondition } from "./ready.ts";

/** What the writer needs. */
export interface ClusterStatusOptions {
  /** The mesh's API, where the `Cluster` objects are. */
  readonly client: Client;
  /** A member cluster's API. */
  readonly member: (name: string) => Client | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is found of a cluster. */
interface Found extends Readiness {
  readonly version?: string;
  readonly nodes?: number;
}

/** Milliseconds between looks at a cluster. */
const everyMs = 15_000;

async function look(member: Client | undefined): Promise<Found> {
  if (!member)
    return { ready: false, reason: "NoServer", message: "the cluster has no server to be reached at: set spec.server" };
  try {
    const { gitVersion } = await member.json<{ readonly gitVersion: string }>({
      method: "GET",
      path: "/version",
      timeoutMs: 5_000,
    });
    const { items } = await member.of(node).list();
    return { version: gitVersion, nodes: items.length, ready: true, reason: "Reachable", message: "" };
  } catch (error) {
    return {
      ready: false,
      reason: "Unreachable",
      message: `its API does not answer, the last known state is served: ${messageOf(error)}`,
    };
  }
}

/** Keeps the status of the mesh's `Cluster` objects true: whether each can be reached, its version, its nodes. */
export class ClusterStatusWriter {
  readonly #options: ClusterStatusOptions;
  readonly #queue: WorkQueue;

  constructor(options: ClusterStatusOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      clock: options.clock,
      work: async (name) => this.#write(name),
      failed: (name, error) => {
        options.logger.warn("cannot write a cluster's status", { cluster: name, error: messageOf(error) });
      },
    });
  }

  /** Looks at a cluster now, and from then on every so often for as long as it exists. */
  watch(name: string): void {
    this.#queue.add(name);
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  async #write(name: string): Promise<number | undefined> {
    const { client, member, clock } = this.#options;
    const clusters = client.of<Cluster>(clusterKind);
    const object = await clusters.find({ name });
    if (!object) return undefined;
    const found = await look(member(name));
    const before = object.status?.conditions?.find((one) => one.type === "Ready");
    const status = found.ready ? "True" : "False";
    const same = before?.status === status && before.reason === found.reason;
    if (!same || object.status?.nodes !== found.nodes || object.status?.version !== found.version) {
      const body = {
        status: {
          conditions: [readyCondition(object.status?.conditions, found, clock.now())],
          observedGeneration: object.metadata.generation,
          ...(found.version !== undefined && { version: found.version, nodes: found.nodes }),
        },
      };
      await clusters.patch({ name }, { kind: "merge", body }, { subresource: "status" });
    }
    return everyMs;
  }
}
