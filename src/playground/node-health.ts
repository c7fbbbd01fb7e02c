import type { Node } from "#api/kubernetes/node.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { codeOf } from "#base/errors.ts";
import { EventRecorder } from "#kube/events.ts";
import { keyOf } from "#kube/reflector.ts";
import type { Cluster } from "./cluster.ts";
import { leaseNamespace } from "./cluster.ts";
import { transition } from "./conditions.ts";
import { nameOf } from "./controller.ts";
import type { Controller } from "./controller.ts";
import { isNodeReady } from "./placement.ts";
import { isFinished, isReady } from "./pod-state.ts";

/** How long a node may be silent, as in Kubernetes. */
const graceMs = 40_000;
const checkMs = 5_000;

interface Heard {
  /** What the node last said of being alive; the times are its own and only compared with each other. */
  readonly sign: string;
  /** When that was heard here. */
  readonly at: number;
}

/**
 * Watches the nodes' heartbeats: the leases that their agents renew, and the times in their statuses. A node that is silent for
 * 40 seconds becomes unknown and its Pods not ready, so that no traffic goes there; Pods of a node that was deleted go.
 */
export class NodeHealthController implements Controller {
  readonly name = "node-health";
  readonly #cluster: Cluster;
  readonly #events: EventRecorder;
  readonly #heard = new Map<string, Heard>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#events = new EventRecorder(cluster.client, "node-controller", cluster.clock, cluster.logger);
  }

  watch(add: (key: string) => void): void {
    const { nodes, leases, pods } = this.#cluster;
    nodes.cache.onChange(({ before, after }) => {
      const node = after ?? before;
      if (node !== undefined) add(keyOf({ name: node.metadata.name }));
    });
    leases.cache.onChange(({ after }) => {
      if (after !== undefined) this.#listen(after.metadata.name);
    });
    pods.cache.onChange(({ before, after }) => {
      const name = after?.spec.nodeName ?? "";
      if (name === "" || before?.spec.nodeName === name) return;
      // A Pod just bound to a node that is away, or that does not exist.
      const node = nodes.cache.get({ name });
      if (node === undefined || !isNodeReady(node)) add(keyOf({ name }));
    });
  }

  async work(key: string): Promise<number | void> {
    const { name } = nameOf(key);
    const node = this.#cluster.nodes.cache.get({ name });
    const pods = this.#podsOf(name);
    const silent = this.#listen(name);
    if (node === undefined) return this.#withoutNode(name, pods, silent);
    if (silent < graceMs) return Math.min(checkMs, graceMs - silent);
    if (isNodeReady(node) || hasNoState(node)) await this.#markUnknown(node);
    for (const pod of pods) if (isReady(pod)) await this.#markNotReady(pod);
    return checkMs;
  }

  /** Notes what the node last said; for how long it has said nothing, in milliseconds. */
  #listen(name: string): number {
    const node = this.#cluster.nodes.cache.get({ name });
    const lease = this.#cluster.leases.cache.get({ namespace: leaseNamespace, name });
    const heartbeat = node?.status?.conditions?.find(({ type }) => type === "Ready")?.lastHeartbeatTime ?? "";
    const sign = `${node?.metadata.uid ?? ""} ${lease?.spec.renewTime ?? ""} ${heartbeat}`;
    const now = this.#cluster.clock.monotonic();
    const known = this.#heard.get(name);
    if (known?.sign !== sign) this.#heard.set(name, { sign, at: now });
    return known?.sign === sign ? now - known.at : 0;
  }

  #podsOf(node: string): readonly Pod[] {
    return this.#cluster.pods.cache.list().filter((pod) => pod.spec.nodeName === node && !isFinished(pod));
  }

  /** Removes Pods that no agent will ever remove. A node that comes back in time keeps them. */
  async #withoutNode(name: string, pods: readonly Pod[], absent: number): Promise<number | undefined> {
    if (pods.length === 0) {
      this.#heard.delete(name);
      return undefined;
    }
    if (absent < graceMs) return Math.min(checkMs, graceMs - absent);
    for (const { metadata } of pods) {
      try {
        await this.#cluster.pods.client.delete(metadata, { uid: metadata.uid, gracePeriodSeconds: 0 });
      } catch (error) {
        if (codeOf(error) !== "NotFound") throw error;
      }
    }
    return checkMs;
  }

  async #markUnknown(node: Node): Promise<void> {
    const now = this.#cluster.clock.now();
    const before = node.status?.conditions ?? [];
    const last = before.find(({ type }) => type === "Ready");
    const ready = {
      type: "Ready",
      status: "Unknown",
      reason: "NodeStatusUnknown",
      message: "The node's agent has stopped telling how the node is.",
      ...(last?.lastHeartbeatTime === undefined ? {} : { lastHeartbeatTime: last.lastHeartbeatTime }),
    };
    const conditions = [...before.filter(({ type }) => type !== "Ready"), transition(before, ready, now)];
    await this.#cluster.nodes.client.replaceStatus({ ...node, status: { ...node.status, conditions } });
    const message = `Node ${node.metadata.name} has been silent for ${graceMs / 1000} seconds`;
    this.#events.record(node, { type: "Warning", reason: "NodeNotReady", message });
  }

  async #markNotReady(pod: Pod): Promise<void> {
    const now = this.#cluster.clock.now();
    const before = pod.status?.conditions ?? [];
    const conditions = before.map((condition) => {
      if (condition.type !== "Ready") return condition;
      const message = "The Pod's node is not ready.";
      return transition(before, { ...condition, status: "False", reason: "NodeNotReady", message }, now);
    });
    await this.#cluster.pods.client.replaceStatus({ ...pod, status: { ...pod.status, conditions } });
    this.#events.record(pod, { type: "Warning", reason: "NodeNotReady", message: "The Pod's node is not ready" });
  }
}

/** Whether nobody has ever told how the node is. */
function hasNoState({ status }: Node): boolean {
  return status?.conditions?.find(({ type }) => type === "Ready") === undefined;
}
