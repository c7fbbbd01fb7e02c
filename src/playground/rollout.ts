import type { Deployment } from "#api/kubernetes/deployment.ts";
import type { ReplicaSet } from "#api/kubernetes/replica-set.ts";
import { annotation } from "./revision.ts";
import type { Sets } from "./revision.ts";

/** A new size for a set. */
export interface Resize {
  readonly set: ReplicaSet;
  readonly replicas: number;
}

/** How many Pods a rollout may have too many and too few. */
export interface Tolerance {
  readonly surge: number;
  readonly unavailable: number;
}

function amount(value: number | string, of: number, round: (value: number) => number): number {
  if (typeof value === "number") return value;
  const number = Number.parseFloat(value);
  if (Number.isNaN(number)) return 0;
  return value.endsWith("%") ? round((number * of) / 100) : round(number);
}

/** The counts that a Deployment's strategy allows; percentages of surge round up, those of unavailable round down. */
export function tolerance({ spec }: Deployment): Tolerance {
  const { type, rollingUpdate } = spec.strategy;
  if (type === "Recreate" || rollingUpdate === undefined) return { surge: 0, unavailable: 0 };
  const surge = amount(rollingUpdate.maxSurge, spec.replicas, Math.ceil);
  const unavailable = amount(rollingUpdate.maxUnavailable, spec.replicas, Math.floor);
  // With neither, nothing could ever be replaced.
  if (surge === 0 && unavailable === 0) return { surge, unavailable: Math.min(1, spec.replicas) };
  return { surge, unavailable: Math.min(unavailable, spec.replicas) };
}

/** Pods that all sets together may have. */
export function maxReplicas(deployment: Deployment): number {
  const { replicas } = deployment.spec;
  return replicas === 0 ? 0 : replicas + tolerance(deployment).surge;
}

function sum(sets: readonly ReplicaSet[], of: (set: ReplicaSet) => number): number {
  return sets.reduce((total, set) => total + of(set), 0);
}

const wanted = ({ spec }: ReplicaSet): number => spec.replicas;
/** A set that has just been made smaller may still tell of Pods that go. */
const available = ({ spec, status }: ReplicaSet): number => Math.min(spec.replicas, status?.availableReplicas ?? 0);

/** How large the current set should be now, given the old ones. */
export function currentSize(deployment: Deployment, current: number, old: readonly ReplicaSet[]): number {
  const { replicas, strategy } = deployment.spec;
  if (current >= replicas || strategy.type === "Recreate") return replicas;
  const room = replicas + tolerance(deployment).surge - sum(old, wanted) - current;
  return current + Math.max(0, Math.min(room, replicas - current));
}

/** Takes up to `most` replicas from the sets, oldest first, from each what `spare` says. */
function shrink(old: readonly ReplicaSet[], most: number, spare: (set: ReplicaSet) => number): readonly ReplicaSet[] {
  let left = most;
  return old.map((set) => {
    const taken = Math.max(0, Math.min(left, spare(set)));
    left -= taken;
    return taken === 0 ? set : { ...set, spec: { ...set.spec, replicas: set.spec.replicas - taken } };
  });
}

/**
 * How the old sets may be made smaller so that enough Pods stay available: first by Pods that are not available, then by others.
 * Pods of the current set that are still starting do not count; and neither does what a set has told of Pods that it will not keep.
 */
function shrinkOld(deployment: Deployment, current: ReplicaSet, old: readonly ReplicaSet[]): readonly ReplicaSet[] {
  const least = deployment.spec.replicas - tolerance(deployment).unavailable;
  const starting = wanted(current) - available(current);
  const removable = sum(old, wanted) + wanted(current) - least - starting;
  const healthy = shrink(old, removable, (set) => wanted(set) - available(set));
  return shrink(healthy, removable - (sum(old, wanted) - sum(healthy, wanted)), wanted);
}

/** The next step of a rolling update: grow the current set as far as it may, else shrink the old ones as far as they may. */
export function rollingStep(
  deployment: Deployment,
  { current, old }: Sets & { readonly current: ReplicaSet },
): readonly Resize[] {
  const size = currentSize(deployment, wanted(current), old);
  if (size !== wanted(current)) return [{ set: current, replicas: size }];
  const shrunk = shrinkOld(deployment, current, old);
  return old.flatMap((set, at) => {
    const replicas = shrunk[at]?.spec.replicas ?? wanted(set);
    return replicas === wanted(set) ? [] : [{ set, replicas }];
  });
}

/** The next step of a strategy without overlap: end the old sets, and when their Pods are gone, begin the current one. */
export function recreateStep(deployment: Deployment, { current, old }: Sets, oldPods: number): readonly Resize[] {
  const running = old.filter((set) => wanted(set) > 0);
  if (running.length > 0) return running.map((set) => ({ set, replicas: 0 }));
  const { replicas } = deployment.spec;
  if (oldPods > 0 || current === undefined || wanted(current) === replicas) return [];
  return [{ set: current, replicas }];
}

/** Whether the number of replicas was changed since the sets were last sized. */
export function isScaling({ spec }: Deployment, { current, old }: Sets): boolean {
  const sets = [...old, ...(current === undefined ? [] : [current])];
  return sets.some(({ metadata, spec: { replicas } }) => {
    const desired = metadata.annotations?.[annotation.desiredReplicas];
    return replicas > 0 && desired !== undefined && Number(desired) !== spec.replicas;
  });
}

/** A set's share of a change of all sets' size, by its own size. */
function share(deployment: Deployment, set: ReplicaSet): number {
  if (deployment.spec.replicas === 0) return -wanted(set);
  const before = Number(set.metadata.annotations?.[annotation.maxReplicas] ?? 0) || deployment.status?.replicas || 1;
  return Math.round((wanted(set) * maxReplicas(deployment)) / before) - wanted(set);
}

/** Spreads a change of size over all sets that have Pods, in proportion; what is left over goes to the largest. */
function spread(deployment: Deployment, sets: readonly ReplicaSet[]): readonly Resize[] {
  const change = maxReplicas(deployment) - sum(sets, wanted);
  // Larger ones first; of equal ones the newer first when growing, the older first when shrinking.
  const ordered = (change > 0 ? sets.toReversed() : sets).toSorted((a, b) => wanted(b) - wanted(a));
  let left = change;
  const sizes = ordered.map((set) => {
    const part = change > 0 ? Math.min(share(deployment, set), left) : Math.max(share(deployment, set), left);
    const taken = change === 0 ? 0 : part;
    left -= taken;
    return { set, replicas: Math.max(0, wanted(set) + taken) };
  });
  return sizes.map((size, at) => (at === 0 ? { ...size, replicas: Math.max(0, size.replicas + left) } : size));
}

/**
 * New sizes after a change of the number of replicas. In the middle of a rollout, and while one is paused, the sets
 * keep their proportions. The sets are given oldest first; all that have Pods are told, so that the change is noted on each.
 */
export function scaleStep(deployment: Deployment, { current, old }: Sets): readonly Resize[] {
  const { replicas, strategy } = deployment.spec;
  const sets = [...old, ...(current === undefined ? [] : [current])];
  const active = sets.filter((set) => wanted(set) > 0);
  const latest = active.length === 0 ? (current ?? old.at(-1)) : active.length === 1 ? active[0] : undefined;
  if (latest !== undefined) return [{ set: latest, replicas }];
  if (current !== undefined && wanted(current) === replicas && available(current) === replicas)
    return active.map((set) => ({ set, replicas: set === current ? replicas : 0 }));
  return strategy.type === "RollingUpdate" ? spread(deployment, active) : [];
}
