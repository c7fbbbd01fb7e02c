import { type ConfigMap, configMap as configMapKind } from "#api/kubernetes/config-map.ts";
import type { ResourceObject } from "#api/meta.ts";
import {
  readRevisions,
  type RevisionTable,
  revisionLabel,
  revisionsName,
  revisionsNamespace,
  tagLabel,
} from "#api/weft/revisions.ts";
import { aborted } from "#base/aborted.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Client, KindRef } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { type RoutedPod, type Upstream, upstreamOf } from "./routes.ts";

/** Kubernetes' kind of what stands for revision tags. */
const webhooks: KindRef = {
  group: "admissionregistration.k8s.io",
  kind: "MutatingWebhookConfiguration",
  plural: "mutatingwebhookconfigurations",
  namespaced: false,
  versions: [{ name: "v1" }],
};

/** What an agent follows of a mesh's revisions in its cluster. */
export interface RevisionFollowerOptions {
  readonly client: Client;
  /** Where the control plane is that was installed first. */
  readonly xds: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Follows a mesh's revision tags, and what its management plane says of revisions, in the agent's cluster. */
export class RevisionFollower {
  readonly #xds: string;
  readonly #webhooks: Informer<ResourceObject>;
  readonly #table: Informer<ConfigMap>;
  #synced = false;

  constructor({ client, xds, clock, logger }: RevisionFollowerOptions) {
    const backoff = { initialMs: 50, maxMs: 5000 };
    const common = { clock, logger, backoff };
    this.#xds = xds;
    this.#webhooks = new Informer({ client: client.of(webhooks), selection: { labelSelector: tagLabel }, ...common });
    const selection = { namespace: revisionsNamespace, fieldSelector: `metadata.name=${revisionsName}` };
    this.#table = new Informer({ client: client.of<ConfigMap>(configMapKind), selection, ...common });
  }

  /** Follows until the signal aborts. @param changed called when Pods may have another control plane. */
  async run(changed: () => void, signal: AbortSignal): Promise<void> {
    const told = (): void => {
      if (this.#synced && !signal.aborted) changed();
    };
    using _tags = this.#webhooks.onChange(told);
    using _table = this.#table.onChange(told);
    await Promise.all([this.#webhooks.run(signal), this.#table.run(signal), this.#begin(told, signal)]);
  }

  async #begin(told: () => void, signal: AbortSignal): Promise<void> {
    await Promise.race([Promise.all([this.#webhooks.synced, this.#table.synced]), aborted(signal)]);
    this.#synced = !signal.aborted;
    told();
  }

  /** Where the revision is that a management plane has serve whoever nothing binds to another; undefined where none says it. */
  get stable(): string | undefined {
    const { stable, addresses } = this.#tableNow ?? {};
    return stable === undefined ? undefined : addresses?.[stable];
  }

  get #tableNow(): RevisionTable | undefined {
    const [map] = this.#table.list();
    return readRevisions(map?.data);
  }

  /** The control plane that serves a Pod's proxy; undefined while that is not known: it stays with whom it has. */
  upstream(pod: RoutedPod): Upstream | undefined {
    if (!this.#synced) return undefined;
    const tags = this.#webhooks.list().flatMap(({ metadata: { labels = {} } }) => {
      const [tag, revision] = [labels[tagLabel], labels[revisionLabel]];
      return tag === undefined || revision === undefined ? [] : [[tag, revision] as const];
    });
    const table = this.#tableNow;
    return upstreamOf(pod, { tags: new Map(tags), ...(table && { table }) }, this.#xds);
  }
}
