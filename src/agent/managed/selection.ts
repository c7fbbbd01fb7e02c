import type { Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import { proxyContainer } from "../layout.ts";

/** The label of Namespaces, and of Pods, that says who gives Pods their sidecars: `node` for the agent of their node. */
const sidecarLabel = "mesh.weft.dev/sidecar";

/** Istio's word of a Pod that wants no sidecar, as a label or as an annotation. */
const injectLabel = "sidecar.istio.io/inject";

/** Namespaces of the cluster itself and of the mesh, whose Pods never get a sidecar. */
const ignored: ReadonlySet<string> = new Set([
  "kube-system",
  "kube-public",
  "kube-node-lease",
  "local-path-storage",
  "istio-system",
]);

/** Whether a namespace has the node's agent give its Pods their sidecars, unless a Pod says otherwise. */
export function isSelected(namespace: string, labels: StringMap): boolean {
  return !ignored.has(namespace) && labels[sidecarLabel] === "node";
}

function hasOwnProxy({ metadata, spec }: Pod): boolean {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  return (
    metadata.annotations?.["sidecar.istio.io/status"] !== undefined ||
    containers.some(({ name }) => name === proxyContainer)
  );
}

/**
 * Whether the node's agent is to give a Pod its sidecar: as the Pod's own label says, else as its namespace's. A Pod with a proxy of its own
 * keeps that, and one in the node's network has no traffic that is its own.
 */
export function isManaged(pod: Pod, namespaceLabels: StringMap): boolean {
  const { namespace = "", labels = {}, annotations = {} } = pod.metadata;
  if (pod.spec.hostNetwork === true || ignored.has(namespace) || hasOwnProxy(pod)) return false;
  if ((labels[injectLabel] ?? annotations[injectLabel]) === "false") return false;
  const word = labels[sidecarLabel] ?? namespaceLabels[sidecarLabel];
  return word === "node";
}
