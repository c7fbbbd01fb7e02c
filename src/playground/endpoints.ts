import type { EndpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { Service } from "#api/kubernetes/service.ts";
import { codeOf } from "#base/errors.ts";
import { keyOf } from "#kube/reflector.ts";
import { byNamespace } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";
import { nameOf } from "./controller.ts";
import type { Controller } from "./controller.ts";
import { planSlices, sliceLabel, sliceManager } from "./slices.ts";
import type { SlicePlan } from "./slices.ts";

const zoneLabel = "topology.kubernetes.io/zone";

/** Whether the Service's endpoints are the Pods that a selector fits; else somebody else keeps them. */
function hasPods({ spec }: Service): boolean {
  return spec.type !== "ExternalName" && spec.selector !== undefined && Object.keys(spec.selector).length > 0;
}

function isSelected({ spec }: Service, { metadata }: Pod): boolean {
  return Object.entries(spec.selector ?? {}).every(([key, value]) => metadata.labels?.[key] === value);
}

/** Keeps the endpoint slices of Services with selectors. A change of a Pod is written at once. */
export class EndpointsController implements Controller {
  readonly name = "endpointslice";
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  watch(add: (key: string) => void): void {
    const { services, pods, nodes, endpointSlices } = this.#cluster;
    services.cache.onChange(({ before, after }) => {
      const service = after ?? before;
      if (service !== undefined) add(keyOf(service.metadata));
    });
    pods.cache.onChange(({ before, after }) => {
      for (const pod of [before, after]) if (pod !== undefined) this.#addServicesOf(pod, add);
    });
    endpointSlices.cache.onChange(({ before, after }) => {
      const metadata = (after ?? before)?.metadata;
      const name = metadata?.labels?.[sliceLabel.service];
      if (metadata?.labels?.[sliceLabel.manager] !== sliceManager || name === undefined) return;
      add(keyOf({ namespace: metadata.namespace ?? "", name }));
    });
    nodes.cache.onChange(({ before, after }) => {
      if (before?.metadata.labels?.[zoneLabel] === after?.metadata.labels?.[zoneLabel]) return;
      for (const { metadata } of services.cache.list()) add(keyOf(metadata));
    });
  }

  async work(key: string): Promise<void> {
    const { services, pods, nodes } = this.#cluster;
    const service = services.cache.get(nameOf(key));
    // With the Service its slices go, which it owns.
    if (service === undefined || service.metadata.deletionTimestamp !== undefined || !hasPods(service)) return;
    const { namespace = "", name } = service.metadata;
    await this.#write(
      planSlices({
        service,
        pods: pods.cache.by(byNamespace, namespace).filter((pod) => isSelected(service, pod)),
        existing: this.#slicesOf(namespace, name),
        zoneOf: (node) => nodes.cache.get({ name: node })?.metadata.labels?.[zoneLabel],
      }),
    );
  }

  #addServicesOf(pod: Pod, add: (key: string) => void): void {
    for (const service of this.#cluster.services.cache.by(byNamespace, pod.metadata.namespace ?? ""))
      if (hasPods(service) && isSelected(service, pod)) add(keyOf(service.metadata));
  }

  #slicesOf(namespace: string, service: string): readonly EndpointSlice[] {
    return this.#cluster.endpointSlices.cache.by(byNamespace, namespace).filter(({ metadata: { labels } }) => {
      return labels?.[sliceLabel.service] === service && labels[sliceLabel.manager] === sliceManager;
    });
  }

  async #write({ create, replace, remove }: SlicePlan): Promise<void> {
    const { client } = this.#cluster.endpointSlices;
    await Promise.all([
      ...create.map(async (slice) => client.create(slice)),
      ...replace.map(async (slice) => client.replace(slice)),
    ]);
    for (const { metadata } of remove) {
      try {
        await client.delete(metadata, { uid: metadata.uid });
      } catch (error) {
        if (codeOf(error) !== "NotFound") throw error;
      }
    }
  }
}
