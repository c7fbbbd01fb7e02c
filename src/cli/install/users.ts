import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { type Pod, pod as podKind } from "#api/kubernetes/pod.ts";
import { isManaged } from "#agent/managed/selection.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";

/** Pods that run with a proxy, by who gives it to them. */
interface PodsWithProxy {
  readonly injected: readonly Pod[];
  /** Their node's agent does: nothing is seen of it in the Pod. */
  readonly managed: readonly Pod[];
}

async function podsWithProxy(client: Client): Promise<PodsWithProxy> {
  const [pods, namespaces] = await Promise.all([client.of<Pod>(podKind).list(), client.of(namespaceKind).list()]);
  const labels = new Map(namespaces.items.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]));
  const running = pods.items.filter(({ status }) => status?.phase === "Running" || status?.phase === "Pending");
  return {
    injected: running.filter(({ metadata }) => metadata.annotations?.["sidecar.istio.io/status"] !== undefined),
    managed: running.filter((pod) => isManaged(pod, labels.get(pod.metadata.namespace ?? "") ?? {})),
  };
}

/** @throws WeftError `FailedPrecondition` where Pods would lose the mesh. */
export async function checkUnused(client: Client): Promise<void> {
  const { injected, managed } = await podsWithProxy(client);
  const [first] = [...injected, ...managed];
  if (!first) return;
  const named = `${first.metadata.namespace ?? ""}/${first.metadata.name}`;
  const fixes = [
    ...(injected.length > 0 ? ["take the label istio-injection from their namespaces and restart them"] : []),
    ...(managed.length > 0
      ? [`take the label mesh.weft.dev/sidecar from the namespaces of the ${managed.length} that nodes give theirs`]
      : []),
  ];
  throw new WeftError(
    "FailedPrecondition",
    `${injected.length + managed.length} Pods have a proxy that would lose the mesh, ${named} among them: ${fixes.join(", ")}, or give --force`,
  );
}
