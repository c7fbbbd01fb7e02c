import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import type { Node } from "#api/kubernetes/node.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { readSettings } from "#injection/read-settings.ts";
import { type AdmissionRequest, type AdmissionResponse, readPath, reviewInjection } from "#injection/review.ts";
import type { InjectionSettings } from "#injection/settings.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { readProxyConfig } from "#model/mesh-config.ts";
import type { Model } from "#model/model.ts";
import { proxyConfigAnnotation } from "#model/proxy-config.ts";
import { only } from "#model/services.ts";
import type { Audience } from "#sources/feed.ts";

/** What an injector needs. */
export interface InjectorOptions {
  /** The mesh's API, where the injector's ConfigMap is. */
  readonly client: Client;
  readonly model: Model;
  /** The revision of the control plane. */
  readonly revision: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The first minor version of Kubernetes whose nodes have native sidecars for good, as Istio has it. */
const nativeSince = 33;

/** The versions of clusters' nodes, by which it is decided how sidecars are injected. */
class NodeVersions {
  readonly #minors = new Map<string, Map<string, number>>();

  /** Keeps the version of a node. */
  seen(cluster: string, { metadata, status }: Node): void {
    const [, minor = "0"] = (status?.nodeInfo?.kubeletVersion ?? "").split(".");
    const nodes = this.#minors.get(cluster) ?? new Map<string, number>();
    this.#minors.set(cluster, nodes.set(metadata.name, Number.parseInt(minor, 10)));
  }

  gone(cluster: string, node: string): void {
    this.#minors.get(cluster)?.delete(node);
  }

  forget(cluster: string): void {
    this.#minors.delete(cluster);
  }

  /** Whether the Pod's node, or every node that it may come to, has native sidecars. */
  native(cluster: string, node: string | undefined): boolean {
    const nodes = this.#minors.get(cluster);
    const own = node === undefined ? undefined : nodes?.get(node);
    const asked = own === undefined ? [...(nodes?.values() ?? [])] : [own];
    return asked.every((minor) => minor >= nativeSince);
  }
}

/** The name of Istio's ConfigMap of an injector's settings. */
function configMapName(revision: string): string {
  return `istio-sidecar-injector${revision === "default" ? "" : `-${revision}`}`;
}

/** Says what is injected into Pods: by the mesh's settings, those of its ConfigMap, and the nodes of the Pod's cluster. */
export class Injector {
  readonly #options: InjectorOptions;
  readonly #nodes = new NodeVersions();
  readonly #validator = new Validator();
  readonly #maps: Informer<ConfigMap>;
  /** The last settings that could be read; Istio's own before there are any. */
  #settings: InjectionSettings = readSettings({});

  constructor(options: InjectorOptions) {
    const { client, clock, logger, revision, model } = options;
    this.#options = options;
    const { rootNamespace: namespace } = model.services.mesh.get(only);
    const selection = { namespace, fieldSelector: `metadata.name=${configMapName(revision)}` };
    this.#maps = new Informer({ client: client.of<ConfigMap>(configMap), selection, clock, logger });
    this.#maps.onChange(({ after }) => this.#took(after));
  }

  /** Resolves when the settings have been read. */
  get synced(): Promise<void> {
    return this.#maps.synced;
  }

  /** Follows the settings until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#maps.run(signal);
  }

  /** Follows the nodes of a cluster. */
  audience(cluster: string): Audience {
    return {
      seen: (object: ResourceObject) => {
        if (object.kind === "Node") this.#nodes.seen(cluster, object as Node);
      },
      gone: (object: ResourceObject) => {
        if (object.kind === "Node") this.#nodes.gone(cluster, object.metadata.name);
      },
    };
  }

  /** A cluster is no member any more. */
  left(cluster: string): void {
    this.#nodes.forget(cluster);
  }

  /** Answers a webhook's question. */
  review(request: AdmissionRequest, path: string): AdmissionResponse {
    const { revision, model } = this.#options;
    const told = readPath(path);
    const settings = this.#settings;
    const { trustDomain, inboundTrafficPolicy, enablePrometheusMerge } = model.services.mesh.get(only);
    const mesh = {
      trustDomain,
      inboundToLoopback: inboundTrafficPolicy.mode === "LOCALHOST",
      prometheusMerge: enablePrometheusMerge,
    };
    return reviewInjection(request, (pod, namespace) => ({
      ...told,
      settings,
      mesh,
      revision,
      config: this.#configOf(pod, namespace),
      native: this.#nodes.native(told.cluster ?? settings.clusterName, pod.spec.nodeName),
    }));
  }

  #configOf({ metadata }: Pod, namespace: string) {
    const text = metadata.annotations?.[proxyConfigAnnotation];
    const annotation = text === undefined ? undefined : readProxyConfig(text, this.#validator);
    const { proxyConfigs } = this.#options.model;
    return proxyConfigs.effective({ namespace, labels: metadata.labels ?? {}, annotation });
  }

  #took(map: ConfigMap | undefined): void {
    try {
      const { config, values } = map?.data ?? {};
      this.#settings = readSettings({
        ...(config !== undefined && { config }),
        ...(values !== undefined && { values }),
      });
    } catch (error) {
      this.#options.logger.error("the injector goes on with the settings that it has", { error: messageOf(error) });
    }
  }
}
