import type { Deployment } from "#api/kubernetes/deployment.ts";
import type { ReplicaSet } from "#api/kubernetes/replica-set.ts";
import type { StringMap } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import { WeftError, codeOf } from "#base/errors.ts";
import { EventRecorder } from "#kube/events.ts";
import { keyOf } from "#kube/reflector.ts";
import { byNamespace, byOwner } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";
import { nameOf } from "./controller.ts";
import type { Controller } from "./controller.ts";
import { statusOf } from "./deployment-status.ts";
import { claim, controlledBy, controllerOf } from "./ownership.ts";
import { isFinished } from "./pod-state.ts";
import {
  annotation,
  currentAnnotations,
  forgottenSets,
  isCurrent,
  revisionOf,
  splitSets,
  templateHash,
  templateHashLabel,
} from "./revision.ts";
import type { Sets } from "./revision.ts";
import { currentSize, isScaling, maxReplicas, recreateStep, rollingStep, scaleStep } from "./rollout.ts";
import type { Resize } from "./rollout.ts";

/** Rolls a Deployment's template out over ReplicaSets, one step a turn; each change of a ReplicaSet makes the next turn. */
export class DeploymentController implements Controller {
  readonly name = "deployment";
  readonly #cluster: Cluster;
  readonly #events: EventRecorder;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#events = new EventRecorder(cluster.client, "deployment-controller", cluster.clock, cluster.logger);
  }

  watch(add: (key: string) => void): void {
    const { deployments, replicaSets, pods } = this.#cluster;
    deployments.cache.onChange(({ before, after }) => {
      const deployment = after ?? before;
      if (deployment !== undefined) add(keyOf(deployment.metadata));
    });
    replicaSets.cache.onChange(({ before, after }) => {
      for (const set of [before, after]) if (set !== undefined) this.#addOwners(set, add);
    });
    // A strategy without overlap waits for Pods to go, which no ReplicaSet's status tells.
    pods.cache.onChange(({ before, after }) => {
      if (before === undefined || (after !== undefined && !isFinished(after))) return;
      const owner = controllerOf(before.metadata);
      const namespace = before.metadata.namespace ?? "";
      const set = owner === undefined ? undefined : replicaSets.cache.get({ namespace, name: owner.name });
      if (set !== undefined) this.#addOwners(set, add);
    });
  }

  async work(key: string): Promise<number | void> {
    const { deployments } = this.#cluster;
    const deployment = deployments.cache.get(nameOf(key));
    if (deployment === undefined) return undefined;
    const sets = splitSets(deployment, await this.#setsOf(deployment));
    if (deployment.metadata.deletionTimestamp !== undefined) return this.#finish(deployment, sets, false);
    const rolling = deployment.spec.strategy.type === "RollingUpdate";
    if (deployment.spec.paused === true || (rolling && isScaling(deployment, sets))) {
      const scaled = await this.#resize(deployment, sets, scaleStep(deployment, sets));
      return this.#finish(deployment, scaled, false);
    }
    return rolling ? this.#roll(deployment, sets) : this.#recreate(deployment, sets);
  }

  async #roll(deployment: Deployment, found: Sets): Promise<number | undefined> {
    const [noted, sets] = await this.#ensureCurrent(deployment, found);
    const resized = await this.#resize(noted, sets, rollingStep(noted, sets));
    return this.#finish(noted, resized, found.current === undefined);
  }

  async #recreate(deployment: Deployment, found: Sets): Promise<number | undefined> {
    const pods = this.#cluster.pods.cache;
    const oldPods = found.old
      .flatMap(({ metadata }) => pods.by(byOwner, metadata.uid))
      .filter((pod) => !isFinished(pod));
    const ending = await this.#resize(deployment, found, recreateStep(deployment, { ...found, current: undefined }, 0));
    const running = ending.old.some(({ spec }) => spec.replicas > 0);
    if (running || oldPods.length > 0) return this.#finish(deployment, ending, false);
    const [noted, sets] = await this.#ensureCurrent(deployment, ending);
    const resized = await this.#resize(noted, sets, recreateStep(noted, sets, oldPods.length));
    return this.#finish(noted, resized, found.current === undefined);
  }

  /** Writes the status, and once a rollout is complete forgets what nobody goes back to. */
  async #finish(deployment: Deployment, sets: Sets, created: boolean): Promise<number | undefined> {
    const { status, again, complete } = statusOf({ ...sets, deployment, created, now: this.#cluster.clock.now() });
    if (!equal(status, deployment.status))
      await this.#cluster.deployments.client.replaceStatus({ ...deployment, status });
    for (const { metadata } of complete ? forgottenSets(deployment, sets.old) : [])
      await this.#cluster.replicaSets.client.delete(metadata, { uid: metadata.uid });
    return again;
  }

  #addOwners({ metadata }: ReplicaSet, add: (key: string) => void): void {
    const namespace = metadata.namespace ?? "";
    const owner = controllerOf(metadata);
    if (owner?.kind === "Deployment") add(keyOf({ namespace, name: owner.name }));
    // Nobody's set may fit somebody's selector.
    if (owner !== undefined) return;
    for (const { metadata } of this.#cluster.deployments.cache.by(byNamespace, namespace)) add(keyOf(metadata));
  }

  async #setsOf(deployment: Deployment): Promise<readonly ReplicaSet[]> {
    const { cache, client } = this.#cluster.replicaSets;
    const { uid, namespace = "" } = deployment.metadata;
    const near = cache.by(byNamespace, namespace).filter(({ metadata }) => {
      const owner = controllerOf(metadata);
      return owner === undefined || owner.uid === uid;
    });
    return claim(deployment, near, client);
  }

  /** The set of the current template, made where there is none, with its notes and the Deployment's revision up to date. */
  async #ensureCurrent(
    deployment: Deployment,
    sets: Sets,
  ): Promise<readonly [Deployment, Sets & { readonly current: ReplicaSet }]> {
    const annotations = currentAnnotations(deployment, sets);
    const current =
      sets.current === undefined
        ? await this.#create(deployment, sets, annotations)
        : await this.#update(deployment, sets.current, annotations);
    return [await this.#note(deployment, revisionOf(current)), { ...sets, current }];
  }

  async #create(deployment: Deployment, { old }: Sets, annotations: StringMap): Promise<ReplicaSet> {
    const { client } = this.#cluster.replicaSets;
    const { selector, template, minReadySeconds } = deployment.spec;
    const hash = templateHash(deployment);
    const name = { namespace: deployment.metadata.namespace ?? "", name: `${deployment.metadata.name}-${hash}` };
    const labels = { ...template.metadata?.labels, [templateHashLabel]: hash };
    const replicas =
      deployment.spec.strategy.type === "Recreate" ? deployment.spec.replicas : currentSize(deployment, 0, old);
    try {
      const set = await client.create({
        metadata: {
          ...name,
          labels,
          annotations: { ...annotations, ...sizeAnnotations(deployment) },
          ownerReferences: [controlledBy(deployment)],
        },
        spec: {
          replicas,
          selector: { ...selector, matchLabels: { ...selector.matchLabels, [templateHashLabel]: hash } },
          template: { ...template, metadata: { ...template.metadata, labels } },
          ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
        },
      });
      this.#tellSize(deployment, set, 0);
      return set;
    } catch (error) {
      if (codeOf(error) !== "AlreadyExists") throw error;
      return this.#collided(deployment, await client.get(name));
    }
  }

  /** A set of the wanted name is there: the one wanted, not yet seen, or another, whose name must be avoided. */
  async #collided(deployment: Deployment, set: ReplicaSet): Promise<ReplicaSet> {
    if (controllerOf(set.metadata)?.uid === deployment.metadata.uid && isCurrent(deployment, set)) return set;
    const status = { ...deployment.status, collisionCount: (deployment.status?.collisionCount ?? 0) + 1 };
    await this.#cluster.deployments.client.replaceStatus({ ...deployment, status });
    throw new WeftError("Conflict", `the name ${set.metadata.name} is taken by another ReplicaSet`);
  }

  async #update(deployment: Deployment, set: ReplicaSet, annotations: StringMap): Promise<ReplicaSet> {
    const { minReadySeconds } = deployment.spec;
    if (equal(annotations, set.metadata.annotations ?? {}) && minReadySeconds === set.spec.minReadySeconds) return set;
    const { minReadySeconds: _before, ...spec } = set.spec;
    return this.#cluster.replicaSets.client.replace({
      ...set,
      metadata: { ...set.metadata, annotations },
      spec: { ...spec, ...(minReadySeconds === undefined ? {} : { minReadySeconds }) },
    });
  }

  async #note(deployment: Deployment, revision: number): Promise<Deployment> {
    if (revisionOf(deployment) === revision) return deployment;
    const { metadata } = deployment;
    const annotations = { ...metadata.annotations, [annotation.revision]: String(revision) };
    return this.#cluster.deployments.client.replace({ ...deployment, metadata: { ...metadata, annotations } });
  }

  /** Gives sets their new sizes, and notes with each for which size of the Deployment that was. */
  async #resize<S extends Sets>(deployment: Deployment, sets: S, resizes: readonly Resize[]): Promise<S> {
    const written = new Map<ReplicaSet, ReplicaSet>();
    for (const { set, replicas } of resizes) {
      const annotations = { ...set.metadata.annotations, ...sizeAnnotations(deployment) };
      if (replicas === set.spec.replicas && equal(annotations, set.metadata.annotations)) continue;
      const metadata = { ...set.metadata, annotations };
      const after = await this.#cluster.replicaSets.client.replace({
        ...set,
        metadata,
        spec: { ...set.spec, replicas },
      });
      written.set(set, after);
      this.#tellSize(deployment, after, set.spec.replicas);
    }
    const now = (set: ReplicaSet): ReplicaSet => written.get(set) ?? set;
    return { ...sets, old: sets.old.map(now), ...(sets.current === undefined ? {} : { current: now(sets.current) }) };
  }

  #tellSize(deployment: Deployment, { metadata, spec }: ReplicaSet, before: number): void {
    if (spec.replicas === before) return;
    const direction = spec.replicas > before ? "up" : "down";
    const message = `Scaled ${direction} ReplicaSet ${metadata.name} from ${before} to ${spec.replicas}`;
    this.#events.record(deployment, { type: "Normal", reason: "ScalingReplicaSet", message });
  }
}

function sizeAnnotations(deployment: Deployment): StringMap {
  return {
    [annotation.desiredReplicas]: String(deployment.spec.replicas),
    [annotation.maxReplicas]: String(maxReplicas(deployment)),
  };
}
