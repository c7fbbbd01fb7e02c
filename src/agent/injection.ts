import type { Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import { revisionLabel } from "#api/weft/revisions.ts";

/** What the mesh puts to a Pod: nothing, a proxy beside it, or a proxy as the Pod itself. */
export type ProxyRole = "none" | "sidecar" | "gateway";

const inject = "sidecar.istio.io/inject";
const templates = "inject.istio.io/templates";

function asked(pod: Pod): boolean | undefined {
  const { labels = {}, annotations = {} } = pod.metadata;
  const word = labels[inject] ?? annotations[inject];
  if (word === undefined) return undefined;
  return ["true", "yes", "y", "on"].includes(word.toLowerCase());
}

/** Namespaces of the cluster itself, whose Pods Istio's injection passes over. */
const ignored: ReadonlySet<string> = new Set(["kube-system", "kube-public", "kube-node-lease", "local-path-storage"]);

/** Whether the namespace, or the Pod where the namespace says nothing, selects this control plane. */
function selects(pod: Pod, namespaceLabels: StringMap, revision: string): boolean {
  const { labels = {} } = pod.metadata;
  const isDefault = revision === "default";
  const rule = namespaceLabels["istio-injection"];
  if (rule !== undefined) return rule === "enabled" && isDefault;
  const wanted = namespaceLabels[revisionLabel] ?? labels[revisionLabel];
  if (wanted !== undefined) return wanted === revision;
  // A namespace without rules: only Pods that ask.
  return labels[inject] === "true" && isDefault;
}

/**
 * What a Pod gets, by the rules of Istio's injection: labels of the namespace and of the Pod, where the Pod's own word counts
 * more, and the template that it names.
 */
export function proxyRole(pod: Pod, namespaceLabels: StringMap, revision: string): ProxyRole {
  if (pod.spec.hostNetwork === true || ignored.has(pod.metadata.namespace ?? "") || asked(pod) === false) return "none";
  if (!selects(pod, namespaceLabels, revision)) return "none";
  const names = (pod.metadata.annotations?.[templates] ?? pod.metadata.labels?.[templates] ?? "").split(",");
  return names.some((name) => name.trim() === "gateway") ? "gateway" : "sidecar";
}
