import type { ObjectMeta } from "../meta.ts";

/** What a Pod is made for. */
export interface Workload {
  readonly name: string;
  readonly kind: string;
  readonly apiVersion: string;
}

/** Names of Jobs that a CronJob made end with the time, as Istio tells them. */
const ofCronJob = /^(.+)-\d{8,10}$/;

/**
 * The workload behind a Pod, from who owns it, as Istio guesses it: a ReplicaSet of a Deployment stands for that, a Job of a CronJob
 * too. A Pod that nobody owns is its own.
 */
export function workloadOf({ name, labels = {}, ownerReferences = [] }: ObjectMeta): Workload {
  const owner = ownerReferences.find(({ controller }) => controller === true);
  if (owner === undefined) return { name, kind: "Pod", apiVersion: "v1" };
  const hash = labels["pod-template-hash"];
  if (owner.kind === "ReplicaSet" && hash !== undefined && owner.name.endsWith(`-${hash}`))
    return { name: owner.name.slice(0, -hash.length - 1), kind: "Deployment", apiVersion: "apps/v1" };
  const [, cron] = owner.kind === "Job" ? (ofCronJob.exec(owner.name) ?? []) : [];
  if (cron !== undefined) return { name: cron, kind: "CronJob", apiVersion: "batch/v1" };
  return { name: owner.name, kind: owner.kind, apiVersion: owner.apiVersion };
}

/** What Istio calls the service and the version of a workload, from its labels and its name. */
export function canonicalNames(labels: Readonly<Record<string, string>>, workload: string) {
  const name = labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels["app"];
  const revision =
    labels["service.istio.io/canonical-revision"] ?? labels["app.kubernetes.io/version"] ?? labels["version"];
  return { name: name ?? workload, revision: revision ?? "latest" };
}
