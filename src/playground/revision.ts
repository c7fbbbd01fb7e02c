import { createHash } from "node:crypto";
import type { Deployment } from "#api/kubernetes/deployment.ts";
import type { PodTemplateSpec } from "#api/kubernetes/pod-spec.ts";
import type { ReplicaSet } from "#api/kubernetes/replica-set.ts";
import type { StringMap } from "#api/meta.ts";
import { canonical, equal } from "#base/canonical.ts";

/** The label that tells the Pods of a Deployment's ReplicaSets apart. */
export const templateHashLabel = "pod-template-hash";

/** Annotations by which `kubectl rollout history` and the controller itself know a ReplicaSet's past. */
export const annotation = {
  revision: "deployment.kubernetes.io/revision",
  revisionHistory: "deployment.kubernetes.io/revision-history",
  desiredReplicas: "deployment.kubernetes.io/desired-replicas",
  maxReplicas: "deployment.kubernetes.io/max-replicas",
  lastApplied: "kubectl.kubernetes.io/last-applied-configuration",
} as const;

/** A Deployment's annotations that its ReplicaSets do not take over. */
const ownAnnotations: ReadonlySet<string> = new Set(Object.values(annotation));

/** Letters and digits that make no words and look like no others, as Kubernetes' generated names have them. */
const alphabet = "bcdfghjklmnpqrstvwxz2456789";

/** A short text for a name, always the same for the same value. */
export function nameHash(value: unknown, length: number): string {
  const digest = createHash("sha256").update(canonical(value)).digest().subarray(0, length);
  return [...digest].map((byte) => alphabet[byte % alphabet.length] ?? "").join("");
}

/** What tells a Deployment's template from its earlier ones; a collision of names changes it. */
export function templateHash({ spec, status }: Deployment): string {
  return nameHash([spec.template, status?.collisionCount ?? 0], 10);
}

function withoutHash(template: PodTemplateSpec): PodTemplateSpec {
  const { [templateHashLabel]: _hash, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

/** Whether a ReplicaSet's Pods are what the Deployment wants now. */
export function isCurrent(deployment: Deployment, set: ReplicaSet): boolean {
  return equal(withoutHash(deployment.spec.template), withoutHash(set.spec.template));
}

/** The set of the Deployment's current template, and all others, oldest first. */
export interface Sets {
  readonly current: ReplicaSet | undefined;
  readonly old: readonly ReplicaSet[];
}

/** Tells a Deployment's current set from its old ones. The oldest one wins where several are current. */
export function splitSets(deployment: Deployment, sets: readonly ReplicaSet[]): Sets {
  const byAge = sets.toSorted(
    (a, b) =>
      Date.parse(a.metadata.creationTimestamp) - Date.parse(b.metadata.creationTimestamp) ||
      (a.metadata.name < b.metadata.name ? -1 : 1),
  );
  const current = byAge.find((set) => isCurrent(deployment, set));
  return { current, old: byAge.filter((set) => set !== current) };
}

/** The number of a rollout, counted from 1; 0 where none is noted. */
export function revisionOf({ metadata }: ReplicaSet | Deployment): number {
  const revision = Number(metadata.annotations?.[annotation.revision] ?? 0);
  return Number.isInteger(revision) ? revision : 0;
}

/** The annotations that the current set must have, beside those it has. */
export function currentAnnotations(deployment: Deployment, { current, old }: Sets): StringMap {
  const copied = Object.entries(deployment.metadata.annotations ?? {}).filter(([name]) => !ownAnnotations.has(name));
  const known = current === undefined ? 0 : revisionOf(current);
  const next = Math.max(0, ...old.map(revisionOf)) + 1;
  const annotations: Record<string, string> = { ...current?.metadata.annotations, ...Object.fromEntries(copied) };
  annotations[annotation.revision] = String(Math.max(known, next));
  if (known > 0 && known < next) {
    const history = annotations[annotation.revisionHistory];
    annotations[annotation.revisionHistory] = history === undefined ? String(known) : `${history},${known}`;
  }
  return annotations;
}

/** Old sets that nobody needs any more: empty, and beyond the number that is kept for going back. */
export function forgottenSets({ spec }: Deployment, old: readonly ReplicaSet[]): readonly ReplicaSet[] {
  const living = old.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const excess = living.length - spec.revisionHistoryLimit;
  if (excess <= 0) return [];
  const byRevision = living.toSorted((a, b) => revisionOf(a) - revisionOf(b));
  return byRevision
    .slice(0, excess)
    .filter(
      ({ spec, status, metadata }) =>
        spec.replicas === 0 &&
        (status?.replicas ?? 0) === 0 &&
        metadata.generation <= (status?.observedGeneration ?? 0),
    );
}
