import type { Pod } from "#api/kubernetes/pod.ts";

/** When the Pod became ready (milliseconds since the epoch), or undefined while it is not. */
function readySince(pod: Pod): number | undefined {
  const condition = pod.status?.conditions?.find(({ type }) => type === "Ready");
  if (condition?.status !== "True") return undefined;
  const at = Date.parse(condition.lastTransitionTime ?? "");
  return Number.isNaN(at) ? 0 : at;
}

/** Whether the Pod takes traffic, as far as its own state says. */
export function isReady(pod: Pod): boolean {
  return readySince(pod) !== undefined;
}

/** Whether the Pod has been ready for so many seconds. */
export function isAvailable(pod: Pod, minReadySeconds: number, now: number): boolean {
  const since = readySince(pod);
  return since !== undefined && (minReadySeconds === 0 || since + minReadySeconds * 1000 <= now);
}

/** Whether all of the Pod's programs have ended for good. */
export function isFinished({ status }: Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

/** Whether the Pod counts as a replica: it has not ended and nobody asked it to. */
export function isActive(pod: Pod): boolean {
  return !isFinished(pod) && pod.metadata.deletionTimestamp === undefined;
}

const phases: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };
const costAnnotation = "controller.kubernetes.io/pod-deletion-cost";

function restarts({ status }: Pod): number {
  return Math.max(0, ...(status?.containerStatuses ?? []).map(({ restartCount }) => restartCount));
}

/** What decides which Pods of a ReplicaSet go first; lower goes earlier. In the order in which Kubernetes compares. */
function deletionRanks(pod: Pod, neighbours: ReadonlyMap<string, number>): readonly number[] {
  const { spec, status, metadata } = pod;
  const node = spec.nodeName ?? "";
  return [
    node === "" ? 0 : 1,
    phases[status?.phase ?? "Pending"] ?? 0,
    isReady(pod) ? 1 : 0,
    Number(metadata.annotations?.[costAnnotation] ?? 0) || 0,
    -(neighbours.get(node) ?? 0),
    -(readySince(pod) ?? 0),
    -restarts(pod),
    -Date.parse(metadata.creationTimestamp),
  ];
}

/**
 * Pods in the order in which a ReplicaSet that has too many deletes them: first those that serve least (without a node, pending,
 * not ready), then those that share a node with most others, then the youngest.
 */
export function deletionOrder(pods: readonly Pod[]): readonly Pod[] {
  const neighbours = new Map<string, number>();
  for (const { spec } of pods) neighbours.set(spec.nodeName ?? "", (neighbours.get(spec.nodeName ?? "") ?? 0) + 1);
  const ranked = pods.map((pod) => ({ pod, ranks: deletionRanks(pod, neighbours) }));
  ranked.sort((a, b) => {
    const at = a.ranks.findIndex((rank, index) => rank !== b.ranks[index]);
    return at === -1 ? (a.pod.metadata.name < b.pod.metadata.name ? -1 : 1) : (a.ranks[at] ?? 0) - (b.ranks[at] ?? 0);
  });
  return ranked.map(({ pod }) => pod);
}
