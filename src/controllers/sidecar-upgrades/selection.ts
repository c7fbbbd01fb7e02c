import { proxyCondition } from "#api/kubernetes/pod-status.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { askedOf, type ProxyUpgrade, readUpgrade, upgradeCondition } from "#api/kubernetes/proxy-upgrade.ts";
import { workloadOf } from "#api/kubernetes/workload.ts";
import type { SidecarSelector } from "#api/weft/sidecar-upgrade.ts";
import { contentHash } from "#base/content-hash.ts";

/** A sidecar as the API of its cluster tells of it. */
export interface SeenSidecar {
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  /** What its Pod asks for. */
  readonly asked?: string;
  /** What its agent says of that. */
  readonly upgrade?: ProxyUpgrade;
}

/** Whether a node's agent runs the Pod's proxy: only those can be replaced. */
function hasSidecar({ status, metadata }: Pod): boolean {
  if (metadata.deletionTimestamp !== undefined || status?.phase === "Succeeded" || status?.phase === "Failed")
    return false;
  return status?.conditions?.some(({ type }) => type === proxyCondition) === true;
}

function fits(value: string, wanted: readonly string[] | undefined): boolean {
  return wanted === undefined || wanted.length === 0 || wanted.includes(value);
}

/** Whether a cluster's Pods are looked at at all. */
export function fitsCluster({ clusters }: SidecarSelector, cluster: string): boolean {
  return fits(cluster, clusters);
}

/** The sidecar of a Pod that a selector means, without regard to its percentage. */
export function selectedSidecar(selector: SidecarSelector, cluster: string, pod: Pod): SeenSidecar | undefined {
  const { name, namespace = "", uid, labels = {}, annotations } = pod.metadata;
  const { namespaces, workloads, labels: wanted = {} } = selector;
  if (!hasSidecar(pod) || !fitsCluster(selector, cluster) || !fits(namespace, namespaces)) return undefined;
  if (!fits(workloadOf(pod.metadata).name, workloads)) return undefined;
  if (Object.entries(wanted).some(([key, value]) => labels[key] !== value)) return undefined;
  const condition = pod.status?.conditions?.find(({ type }) => type === upgradeCondition);
  const upgrade = condition && readUpgrade(condition);
  const asked = askedOf(annotations);
  return { cluster, namespace, pod: name, uid, ...(asked !== undefined && { asked }), ...(upgrade && { upgrade }) };
}

/** Where a sidecar stands in the order in which all are upgraded: the same each time, and unlike that of their names. */
const orderOf = ({ uid }: { readonly uid: string }): string => contentHash(uid);

/** A share of sidecars, at least one. */
export function shareOf<One extends { readonly uid: string }>(all: readonly One[], percent: number): readonly One[] {
  const count = Math.ceil((all.length * percent) / 100);
  return all.toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1)).slice(0, count);
}

/** The wave of each of so many sidecars, from 1, in their order. */
export function wavesOf(count: number, percents: readonly number[]): readonly number[] {
  return Array.from(
    { length: count },
    (_, index) => 1 + percents.findIndex((percent) => index < Math.ceil((count * percent) / 100)),
  );
}
