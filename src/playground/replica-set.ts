import type { Pod } from "#api/kubernetes/pod.ts";
import type { ReplicaSet, ReplicaSetStatus } from "#api/kubernetes/replica-set.ts";
import type { ObjectMeta } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import { EventRecorder } from "#kube/events.ts";
import type { ObjectChange } from "#kube/informer.ts";
import { keyOf } from "#kube/reflector.ts";
import { byNamespace } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";
import { transition } from "./conditions.ts";
import { nameOf } from "./controller.ts";
import type { Controller } from "./controller.ts";
import { Expectations } from "./expectations.ts";
import { claim, controlledBy, controllerOf } from "./ownership.ts";
import { deletionOrder, isActive, isAvailable, isReady } from "./pod-state.ts";

/** Pods created or deleted in one turn at most, as in Kubernetes. */
const burst = 500;
/** Creations at once begin with one and double while they succeed, so that what is refused is refused once. */
const firstBatch = 1;

interface Failure {
  readonly reason: "FailedCreate" | "FailedDelete";
  readonly error: unknown;
}

/** Keeps as many Pods of a template as a ReplicaSet wants. */
export class ReplicaSetController implements Controller {
  readonly name = "replicaset";
  readonly #cluster: Cluster;
  readonly #expectations: Expectations;
  readonly #events: EventRecorder;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#expectations = new Expectations(cluster.clock);
    this.#events = new EventRecorder(cluster.client, "replicaset-controller", cluster.clock, cluster.logger);
  }

  watch(add: (key: string) => void): void {
    const { replicaSets, pods } = this.#cluster;
    replicaSets.cache.onChange(({ before, after }) => {
      const { metadata } = after ?? before ?? { metadata: undefined };
      if (metadata !== undefined) add(keyOf(metadata));
      // Another set of the same name owes nothing of what this one did.
      if (after === undefined && before !== undefined) this.#expectations.forget(keyOf(before.metadata));
    });
    pods.cache.onChange((change) => this.#podChanged(change, add));
  }

  async work(key: string): Promise<number | void> {
    const set = this.#cluster.replicaSets.cache.get(nameOf(key));
    if (set === undefined) return undefined;
    const pods = (await this.#podsOf(set)).filter((pod) => isActive(pod));
    const wait = this.#expectations.waiting(key);
    const deleting = set.metadata.deletionTimestamp !== undefined;
    const failure = wait === 0 && !deleting ? await this.#manage(key, set, pods) : undefined;
    await this.#writeStatus(set, pods, failure);
    if (failure !== undefined) throw failure.error;
    if (wait > 0) return wait;
    return this.#untilAvailable(set, pods);
  }

  #podChanged({ before, after }: ObjectChange<Pod>, add: (key: string) => void): void {
    const pod = after ?? before;
    if (pod === undefined) return;
    for (const metadata of [before?.metadata, after?.metadata]) {
      const key = metadata === undefined ? undefined : setKey(metadata);
      if (key === undefined) continue;
      if (before === undefined) this.#expectations.created(key);
      if (after === undefined || after.metadata.deletionTimestamp !== undefined)
        this.#expectations.deleted(key, pod.metadata.uid);
      add(key);
    }
    if (controllerOf(pod.metadata) !== undefined || after === undefined) return;
    // Nobody's Pod may fit somebody's selector.
    for (const { metadata } of this.#cluster.replicaSets.cache.by(byNamespace, pod.metadata.namespace ?? ""))
      add(keyOf(metadata));
  }

  async #podsOf(set: ReplicaSet): Promise<readonly Pod[]> {
    const { cache, client } = this.#cluster.pods;
    const { uid, namespace = "" } = set.metadata;
    const near = cache.by(byNamespace, namespace).filter(({ metadata }) => {
      const owner = controllerOf(metadata);
      return owner === undefined || owner.uid === uid;
    });
    return claim(set, near, client);
  }

  /** Creates what is missing, or deletes what is too much. */
  async #manage(key: string, set: ReplicaSet, pods: readonly Pod[]): Promise<Failure | undefined> {
    const missing = set.spec.replicas - pods.length;
    if (missing > 0) return this.#create(key, set, Math.min(missing, burst));
    if (missing < 0) return this.#delete(key, set, deletionOrder(pods).slice(0, Math.min(-missing, burst)));
    return undefined;
  }

  async #create(key: string, set: ReplicaSet, count: number): Promise<Failure | undefined> {
    this.#expectations.expectCreations(key, count);
    let failure: Failure | undefined;
    for (let left = count, batch = firstBatch; left > 0; batch *= 2) {
      const size = Math.min(batch, left);
      const results = await Promise.allSettled(Array.from({ length: size }, async () => this.#createPod(set)));
      left -= size;
      for (const result of results) {
        if (result.status === "fulfilled") continue;
        this.#expectations.created(key);
        failure = { reason: "FailedCreate", error: result.reason };
      }
      if (failure === undefined) continue;
      for (; left > 0; left -= 1) this.#expectations.created(key);
    }
    return failure;
  }

  async #createPod(set: ReplicaSet): Promise<void> {
    const { template } = set.spec;
    const { labels, annotations, finalizers } = template.metadata ?? {};
    const metadata = {
      generateName: `${set.metadata.name}-`,
      namespace: set.metadata.namespace ?? "",
      ownerReferences: [controlledBy(set)],
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers === undefined ? {} : { finalizers }),
    };
    try {
      const pod = await this.#cluster.pods.client.create({ metadata, spec: template.spec });
      const message = `Created Pod ${pod.metadata.name}`;
      this.#events.record(set, { type: "Normal", reason: "SuccessfulCreate", message });
    } catch (error) {
      const message = `A Pod could not be created: ${messageOf(error)}`;
      this.#events.record(set, { type: "Warning", reason: "FailedCreate", message });
      throw error;
    }
  }

  async #delete(key: string, set: ReplicaSet, pods: readonly Pod[]): Promise<Failure | undefined> {
    this.#expectations.expectDeletions(
      key,
      pods.map(({ metadata }) => metadata.uid),
    );
    const results = await Promise.allSettled(pods.map(async (pod) => this.#deletePod(key, set, pod)));
    const failed = results.find((result) => result.status === "rejected");
    return failed === undefined ? undefined : { reason: "FailedDelete", error: failed.reason };
  }

  async #deletePod(key: string, set: ReplicaSet, { metadata }: Pod): Promise<void> {
    try {
      await this.#cluster.pods.client.delete(metadata, { uid: metadata.uid });
      this.#events.record(set, {
        type: "Normal",
        reason: "SuccessfulDelete",
        message: `Deleted Pod ${metadata.name}`,
      });
    } catch (error) {
      this.#expectations.deleted(key, metadata.uid);
      const code = codeOf(error);
      // It went by itself.
      if (code !== "NotFound") throw error;
    }
  }

  async #writeStatus(set: ReplicaSet, pods: readonly Pod[], failure: Failure | undefined): Promise<void> {
    const status = statusOf(set, pods, failure, this.#cluster.clock.now());
    if (!equal(status, set.status)) await this.#cluster.replicaSets.client.replaceStatus({ ...set, status });
  }

  /** Milliseconds until a ready Pod counts as available, where one does not yet. */
  #untilAvailable(set: ReplicaSet, pods: readonly Pod[]): number | undefined {
    const seconds = set.spec.minReadySeconds ?? 0;
    const pending = pods.some((pod) => isReady(pod) && !isAvailable(pod, seconds, this.#cluster.clock.now()));
    return pending ? Math.min(1000, seconds * 1000) : undefined;
  }
}

/** The queue's key of the ReplicaSet that manages an object. */
function setKey(metadata: ObjectMeta): string | undefined {
  const owner = controllerOf(metadata);
  if (owner?.kind !== "ReplicaSet") return undefined;
  return keyOf({ namespace: metadata.namespace ?? "", name: owner.name });
}

function statusOf(set: ReplicaSet, pods: readonly Pod[], failure: Failure | undefined, now: number): ReplicaSetStatus {
  const wanted = Object.entries(set.spec.template.metadata?.labels ?? {});
  const labelled = pods.filter(({ metadata }) => wanted.every(([key, value]) => metadata.labels?.[key] === value));
  const before = set.status?.conditions ?? [];
  const others = before.filter(({ type }) => type !== "ReplicaFailure");
  const failed = {
    type: "ReplicaFailure",
    status: "True",
    reason: failure?.reason ?? "",
    message: messageOf(failure?.error),
  };
  const conditions = failure === undefined ? others : [...others, transition(before, failed, now)];
  return {
    replicas: pods.length,
    fullyLabeledReplicas: labelled.length,
    readyReplicas: pods.filter((pod) => isReady(pod)).length,
    availableReplicas: pods.filter((pod) => isAvailable(pod, set.spec.minReadySeconds ?? 0, now)).length,
    observedGeneration: set.metadata.generation,
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}
