import type { Node } from "#api/kubernetes/node.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { equal } from "#base/canonical.ts";
import { EventRecorder } from "#kube/events.ts";
import type { ObjectChange } from "#kube/informer.ts";
import { keyOf } from "#kube/reflector.ts";
import type { Cluster } from "./cluster.ts";
import { transition } from "./conditions.ts";
import { nameOf } from "./controller.ts";
import type { Controller } from "./controller.ts";
import { place } from "./placement.ts";
import type { Candidate } from "./placement.ts";
import { isFinished } from "./pod-state.ts";

const schedulerName = "default-scheduler";
/** A Pod that fits nowhere is tried again after so long, even when nothing seems to have changed. */
const retryMs = 30_000;

function isWaiting({ spec, metadata }: Pod): boolean {
  const mine = spec.schedulerName === schedulerName && (spec.schedulingGates ?? []).length === 0;
  return mine && (spec.nodeName ?? "") === "" && metadata.deletionTimestamp === undefined;
}

/** What of a node decides whether Pods fit, beside the Pods it has. */
function fitting(node: Node | undefined): unknown {
  const ready = node?.status?.conditions?.find(({ type }) => type === "Ready")?.status;
  return [node?.metadata.labels, node?.spec, node?.status?.allocatable, ready];
}

/** Gives Pods their nodes, one Pod at a time, so that each choice knows the one before. */
export class Scheduler implements Controller {
  readonly name = "scheduler";
  readonly concurrency = 1;
  readonly #cluster: Cluster;
  readonly #events: EventRecorder;
  /** Pods bound by this scheduler that the local copy does not show bound yet, by uid. */
  readonly #assumed = new Map<string, { readonly pod: Pod; readonly node: string }>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#events = new EventRecorder(cluster.client, schedulerName, cluster.clock, cluster.logger);
  }

  watch(add: (key: string) => void): void {
    const { pods, nodes } = this.#cluster;
    const addWaiting = (): void => {
      for (const pod of pods.cache.list()) if (isWaiting(pod)) add(keyOf(pod.metadata));
    };
    pods.cache.onChange((change) => {
      const { after } = change;
      this.#forget(change);
      if (after !== undefined && isWaiting(after)) add(keyOf(after.metadata));
      // Its place is free for others.
      else if (after === undefined || isFinished(after)) addWaiting();
    });
    nodes.cache.onChange(({ before, after }) => {
      if (!equal(fitting(before), fitting(after))) addWaiting();
    });
  }

  async work(key: string): Promise<number | void> {
    const pod = this.#cluster.pods.cache.get(nameOf(key));
    if (pod === undefined || !isWaiting(pod) || this.#assumed.has(pod.metadata.uid)) return undefined;
    const candidates = this.#candidates();
    const placement = place(pod, candidates);
    if (placement.kind === "node") return this.#bind(pod, placement.name);
    const reasons = [...placement.reasons].map(([reason, count]) => `${count} ${reason}`).join(", ");
    const nodes =
      candidates.length === 0 ? "there are no nodes" : `none of ${candidates.length} nodes fits: ${reasons}`;
    await this.#tell(pod, `No node for the Pod: ${nodes}`);
    return retryMs;
  }

  /** A Pod that is gone, or is another one by now, or shows its node needs no assumption. */
  #forget({ before, after }: ObjectChange<Pod>): void {
    if (before !== undefined && before.metadata.uid !== after?.metadata.uid) this.#assumed.delete(before.metadata.uid);
    if (after !== undefined && !isWaiting(after)) this.#assumed.delete(after.metadata.uid);
  }

  #candidates(): readonly Candidate[] {
    const byNode = new Map<string, Pod[]>();
    const note = (node: string, pod: Pod): void => {
      const pods = byNode.get(node) ?? [];
      pods.push(pod);
      byNode.set(node, pods);
    };
    for (const pod of this.#cluster.pods.cache.list()) if (!isFinished(pod)) note(pod.spec.nodeName ?? "", pod);
    for (const { pod, node } of this.#assumed.values()) note(node, pod);
    return this.#cluster.nodes.cache.list().map((node) => ({ node, pods: byNode.get(node.metadata.name) ?? [] }));
  }

  async #bind(pod: Pod, node: string): Promise<void> {
    const { name, namespace = "", uid } = pod.metadata;
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/binding`;
    const target = { apiVersion: "v1", kind: "Node", name: node };
    const body = { apiVersion: "v1", kind: "Binding", metadata: { name, namespace, uid }, target };
    this.#assumed.set(uid, { pod, node });
    try {
      await this.#cluster.client.bytes({ method: "POST", path, body });
    } catch (error) {
      this.#assumed.delete(uid);
      throw error;
    }
    const message = `Assigned ${namespace}/${name} to node ${node}`;
    this.#events.record(pod, { type: "Normal", reason: "Scheduled", message });
  }

  async #tell(pod: Pod, message: string): Promise<void> {
    const before = pod.status?.conditions ?? [];
    const known = before.find(({ type }) => type === "PodScheduled");
    if (known?.status === "False" && known.message === message) return;
    const now = this.#cluster.clock.now();
    const condition = { type: "PodScheduled", status: "False", reason: "Unschedulable", message };
    const conditions = [...before.filter(({ type }) => type !== "PodScheduled"), transition(before, condition, now)];
    await this.#cluster.pods.client.replaceStatus({ ...pod, status: { ...pod.status, conditions } });
    this.#events.record(pod, { type: "Warning", reason: "FailedScheduling", message });
  }
}
