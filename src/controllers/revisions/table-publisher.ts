import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { revisionsName, revisionsNamespace } from "#api/weft/revisions.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";

/** What telling members of a mesh's revisions needs. */
export interface RevisionTablePublisherOptions {
  /** The mesh's API, where its management plane says which revision serves whom. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

const place = { namespace: revisionsNamespace, name: revisionsName } as const;

/** Tells each member which revision of the control plane serves whom, for its nodes' agents. All revisions tell the same. */
export class RevisionTablePublisher {
  readonly #options: RevisionTablePublisherOptions;
  readonly #table: Informer<ConfigMap>;

  constructor(options: RevisionTablePublisherOptions) {
    const { client, clock, logger } = options;
    this.#options = options;
    const selection = { namespace: place.namespace, fieldSelector: `metadata.name=${place.name}` };
    this.#table = new Informer({ client: client.of<ConfigMap>(configMap), selection, clock, logger });
  }

  /** Follows what the management plane says until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#table.run(signal);
  }

  /** Keeps one member told until the signal aborts. */
  async follow(cluster: string, client: Client, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    const queue = new WorkQueue({
      clock,
      work: async () => this.#tell(client),
      failed: (_key, error) =>
        logger.warn("a cluster is not told of the mesh's revisions", { cluster, error: messageOf(error) }),
      backoff: { initialMs: 500, maxMs: 30_000 },
    });
    using _changes = this.#table.onChange(() => queue.add(place.name));
    await queue.run(signal);
  }

  async #tell(client: Client): Promise<undefined> {
    const [table] = this.#table.list();
    // A mesh of one revision, or an installed one, has no table.
    if (!table?.data) return undefined;
    const { data } = table;
    const maps = client.of<ConfigMap>(configMap);
    const found = await maps.find(place);
    if (equal(found?.data, data)) return undefined;
    const labels = { "app.kubernetes.io/managed-by": "weft" };
    if (!found) {
      await maps.create({ metadata: { ...place, labels }, data });
      return undefined;
    }
    // What is not said any more is taken away.
    const old = Object.fromEntries(Object.keys(found.data ?? {}).map((key) => [key, null]));
    const body = { metadata: { resourceVersion: found.metadata.resourceVersion }, data: { ...old, ...data } };
    try {
      await maps.patch(place, { kind: "merge", body });
    } catch (error) {
      // Another revision has written the same.
      if (codeOf(error) !== "Conflict") throw error;
    }
    return undefined;
  }
}
