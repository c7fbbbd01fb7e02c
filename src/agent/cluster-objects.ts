import { configMap as configMapKind } from "#api/kubernetes/config-map.ts";
import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { Namespace } from "#api/kubernetes/namespace.ts";
import { pod as podKind } from "#api/kubernetes/pod.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import type { Secret } from "#api/kubernetes/secret.ts";
import type { StringMap } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { rootsConfigMap } from "./certificates/trust-bundle.ts";

/** Where they come from. */
export interface ClusterObjectsOptions {
  readonly client: Client;
  readonly node: string;
  /** The namespace in which the mesh publishes its authorities; absent where nobody asks for them. */
  readonly rootNamespace?: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The objects of the cluster that an agent reads. */
export class ClusterObjects {
  /** Pods of this node. */
  readonly pods: Informer<Pod>;
  /** The authorities that the mesh publishes. */
  readonly roots: Informer<ConfigMap> | undefined;
  readonly #namespaces: KindClient<Namespace>;
  readonly #configMaps: KindClient<ConfigMap>;
  readonly #secrets: KindClient<Secret>;

  constructor({ client, node, rootNamespace, clock, logger }: ClusterObjectsOptions) {
    const backoff = { initialMs: 50, maxMs: 1000 };
    if (rootNamespace !== undefined) {
      const selection = { namespace: rootNamespace, fieldSelector: `metadata.name=${rootsConfigMap.name}` };
      this.roots = new Informer({ client: client.of<ConfigMap>(configMapKind), selection, clock, logger, backoff });
    }
    this.pods = new Informer({
      client: client.of<Pod>(podKind),
      selection: { fieldSelector: `spec.nodeName=${node}` },
      clock,
      logger,
      backoff,
    });
    this.#namespaces = client.of<Namespace>(namespaceKind);
    this.#configMaps = client.of<ConfigMap>(configMapKind);
    this.#secrets = client.of<Secret>(secretKind);
  }

  /** Keeps the local copies up to date until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.pods.run(signal), this.roots?.run(signal)]);
  }

  /** The labels of a namespace as they are now; none when there is no such namespace. */
  async namespaceLabels(name: string): Promise<StringMap> {
    return (await this.#namespaces.find({ name }))?.metadata.labels ?? {};
  }

  /** The data of a ConfigMap, or undefined when there is none. */
  async configMap(namespace: string, name: string): Promise<Readonly<Record<string, string>> | undefined> {
    const found = await this.#configMaps.find({ namespace, name });
    return found === undefined ? undefined : (found.data ?? {});
  }

  /** The decoded data of a Secret, or undefined when there is none. */
  async secret(namespace: string, name: string): Promise<Readonly<Record<string, string>> | undefined> {
    const found = await this.#secrets.find({ namespace, name });
    if (found === undefined) return undefined;
    const decoded = Object.entries(found.data ?? {}).map(
      ([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")] as const,
    );
    return Object.fromEntries(decoded);
  }
}
