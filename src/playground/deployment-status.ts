import type { Deployment, DeploymentStatus } from "#api/kubernetes/deployment.ts";
import type { ReplicaSet } from "#api/kubernetes/replica-set.ts";
import { timestamp } from "#base/timestamp.ts";
import { transition } from "./conditions.ts";
import type { Sets } from "./revision.ts";
import { tolerance } from "./rollout.ts";

/** One of a Deployment's conditions. */
type Condition = NonNullable<DeploymentStatus["conditions"]>[number];

type Counts = Required<
  Pick<DeploymentStatus, "replicas" | "updatedReplicas" | "readyReplicas" | "availableReplicas" | "unavailableReplicas">
>;

/** What a status is worked out from. */
export interface Rollout extends Sets {
  readonly deployment: Deployment;
  /** The current set was made just now. */
  readonly created: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

function count({ current, old }: Sets): Counts {
  const all = [...old, ...(current === undefined ? [] : [current])];
  const sum = (of: (set: ReplicaSet) => number): number => all.reduce((total, set) => total + of(set), 0);
  const availableReplicas = sum(({ status }) => status?.availableReplicas ?? 0);
  return {
    replicas: sum(({ status }) => status?.replicas ?? 0),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: sum(({ status }) => status?.readyReplicas ?? 0),
    availableReplicas,
    unavailableReplicas: Math.max(0, sum(({ spec }) => spec.replicas) - availableReplicas),
  };
}

function isComplete({ spec }: Deployment, { updatedReplicas, replicas, availableReplicas }: Counts): boolean {
  return [updatedReplicas, replicas, availableReplicas].every((one) => one === spec.replicas);
}

/** Whether the counts came nearer to the goal since the last status. */
function hasProgressed({ status }: Deployment, counts: Counts): boolean {
  const { replicas = 0, updatedReplicas = 0, readyReplicas = 0, availableReplicas = 0 } = status ?? {};
  return (
    counts.updatedReplicas > updatedReplicas ||
    counts.replicas - counts.updatedReplicas < replicas - updatedReplicas ||
    counts.readyReplicas > readyReplicas ||
    counts.availableReplicas > availableReplicas
  );
}

function conditionOf({ status }: Deployment, type: string): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === type);
}

/** Sets a condition; one that says the same as before stays as it is unless it is to be renewed. */
function put(deployment: Deployment, condition: Condition, now: number, renew = false): Condition {
  const before = conditionOf(deployment, condition.type);
  if (!renew && before?.status === condition.status && before.reason === condition.reason) return before;
  return { ...transition(before === undefined ? [] : [before], condition, now), lastUpdateTime: timestamp(now) };
}

function availableCondition({ deployment, now }: Rollout, counts: Counts): Condition {
  const enough = counts.availableReplicas >= deployment.spec.replicas - tolerance(deployment).unavailable;
  const condition = enough
    ? { status: "True", reason: "MinimumReplicasAvailable", message: "Enough Pods are available." }
    : { status: "False", reason: "MinimumReplicasUnavailable", message: "Too few Pods are available." };
  return put(deployment, { type: "Available", ...condition }, now);
}

/** Milliseconds until a rollout without progress counts as failed; undefined when it cannot. */
function untilDeadline(deployment: Deployment, before: Condition | undefined, now: number): number | undefined {
  if (before === undefined || before.reason === "NewReplicaSetAvailable") return undefined;
  if (deployment.spec.paused === true) return undefined;
  const since = Date.parse(before.lastUpdateTime ?? "");
  return Number.isNaN(since) ? undefined : since + deployment.spec.progressDeadlineSeconds * 1000 - now;
}

function progressingCondition(rollout: Rollout, counts: Counts): Condition | undefined {
  const { deployment, current, created, now } = rollout;
  const before = conditionOf(deployment, "Progressing");
  const name = current?.metadata.name ?? "";
  const condition = (status: string, reason: string, message: string, renew = false): Condition =>
    put(deployment, { type: "Progressing", status, reason, message }, now, renew);
  if (deployment.spec.paused === true) return condition("Unknown", "DeploymentPaused", "The rollout is paused.");
  if (created) return condition("True", "NewReplicaSetCreated", `ReplicaSet ${name} was created.`, true);
  if (current === undefined) return before;
  // What was once complete stays so while Pods come and go; only another template begins anew.
  const done = before?.reason === "NewReplicaSetAvailable" && counts.replicas === counts.updatedReplicas;
  if (done) return before;
  if (isComplete(deployment, counts)) {
    return condition("True", "NewReplicaSetAvailable", `ReplicaSet ${name} is complete.`);
  }
  if (before?.reason === "DeploymentPaused") return condition("Unknown", "DeploymentResumed", "The rollout goes on.");
  if (before === undefined) return condition("True", "FoundNewReplicaSet", `ReplicaSet ${name} was found.`);
  if (hasProgressed(deployment, counts))
    return condition("True", "ReplicaSetUpdated", `ReplicaSet ${name} is progressing.`, true);
  const left = untilDeadline(deployment, before, now);
  if (left !== undefined && left <= 0)
    return condition("False", "ProgressDeadlineExceeded", `ReplicaSet ${name} made no progress in time.`);
  return before;
}

function failureCondition({ deployment, current, old, now }: Rollout): Condition | undefined {
  const sets = [...(current === undefined ? [] : [current]), ...old];
  const failures = sets.flatMap(({ status }) => status?.conditions ?? []);
  const failure = failures.find(({ type, status }) => type === "ReplicaFailure" && status === "True");
  if (failure === undefined) return undefined;
  const { type, status, reason = "", message = "" } = failure;
  return put(deployment, { type, status, reason, message }, now);
}

/** How a rollout is. */
export interface RolloutStatus {
  readonly status: DeploymentStatus;
  /** Every Pod is of the current template and available, and no other is left. */
  readonly complete: boolean;
  /** Milliseconds after which it should be looked at again although nothing changed. */
  readonly again: number | undefined;
}

/** Works out the status of a Deployment. */
export function statusOf(rollout: Rollout): RolloutStatus {
  const { deployment, now } = rollout;
  const counts = count(rollout);
  const progressing = progressingCondition(rollout, counts);
  const conditions = [availableCondition(rollout, counts), progressing, failureCondition(rollout)];
  const { collisionCount } = deployment.status ?? {};
  const status = {
    observedGeneration: deployment.metadata.generation,
    ...counts,
    conditions: conditions.filter((condition) => condition !== undefined),
    ...(collisionCount === undefined ? {} : { collisionCount }),
  };
  const left = progressing?.status === "False" ? undefined : untilDeadline(deployment, progressing, now);
  const again = left === undefined ? undefined : Math.max(1000, left);
  return { status, again, complete: isComplete(deployment, counts) };
}
