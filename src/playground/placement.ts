import type { Node } from "#api/kubernetes/node.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { ownerUid } from "./ownership.ts";

/** A node and the Pods that are bound to it and have not ended. */
export interface Candidate {
  readonly node: Node;
  readonly pods: readonly Pod[];
}

/** A node for a Pod, or how many nodes do not fit for which reason. */
export type Placement =
  | { readonly kind: "node"; readonly name: string }
  | { readonly kind: "none"; readonly reasons: ReadonlyMap<string, number> };

interface HostPort {
  readonly port: number;
  readonly protocol: string;
  readonly address: string;
}

const anyAddress = "0.0.0.0";

function hostPorts({ spec }: Pod): readonly HostPort[] {
  return spec.containers.flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, protocol, hostIP }) =>
      hostPort === undefined || hostPort === 0 ? [] : [{ port: hostPort, protocol, address: hostIP || anyAddress }],
    ),
  );
}

function clash(a: HostPort, b: HostPort): boolean {
  const same = a.address === b.address || a.address === anyAddress || b.address === anyAddress;
  return same && a.port === b.port && a.protocol === b.protocol;
}

/** Whether the Pod bears every taint of the node that keeps Pods away. */
function tolerates({ spec: { tolerations = [] } }: Pod, { spec: { taints = [] } }: Node): boolean {
  const binding = taints.filter(({ effect }) => effect === "NoSchedule" || effect === "NoExecute");
  return binding.every((taint) =>
    tolerations.some(({ key = "", operator = "Equal", value = "", effect = "" }) => {
      if (effect !== "" && effect !== taint.effect) return false;
      if (key === "") return operator === "Exists";
      return key === taint.key && (operator === "Exists" || value === (taint.value ?? ""));
    }),
  );
}

/** Whether the node says that it is well. */
export function isNodeReady({ status }: Node): boolean {
  return status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
}

/** Why a node cannot take a Pod, as the words after "2 nodes"; undefined when it can. */
function obstacle(pod: Pod, { node, pods }: Candidate): string | undefined {
  const labels = node.metadata.labels ?? {};
  if (!isNodeReady(node)) return "not ready";
  if (node.metadata.deletionTimestamp !== undefined) return "being deleted";
  if (node.spec.unschedulable === true) return "closed for new Pods (unschedulable)";
  if (!Object.entries(pod.spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value))
    return "without the labels of the Pod's nodeSelector";
  if (!tolerates(pod, node)) return "with a taint that the Pod does not tolerate";
  const taken = pods.flatMap(hostPorts);
  const wanted = hostPorts(pod);
  if (wanted.some((one) => taken.some((other) => clash(one, other)))) return "with the Pod's host port taken";
  const most = Number(node.status?.allocatable?.["pods"] ?? Number.POSITIVE_INFINITY);
  return pods.length >= most ? "full" : undefined;
}

/** Chooses the node with fewest Pods of the same owner, then fewest Pods at all, then the first by name. */
export function place(pod: Pod, candidates: readonly Candidate[]): Placement {
  const reasons = new Map<string, number>();
  const [owner] = ownerUid(pod.metadata);
  const fitting = candidates.filter((candidate) => {
    const reason = obstacle(pod, candidate);
    if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    return reason === undefined;
  });
  const ranked = fitting.map(({ node: { metadata }, pods }) => {
    const siblings = pods.filter(({ metadata }) => owner !== undefined && ownerUid(metadata)[0] === owner);
    return { name: metadata.name, siblings: siblings.length, pods: pods.length };
  });
  ranked.sort((a, b) => a.siblings - b.siblings || a.pods - b.pods || (a.name < b.name ? -1 : 1));
  const [best] = ranked;
  return best === undefined ? { kind: "none", reasons } : { kind: "node", name: best.name };
}
