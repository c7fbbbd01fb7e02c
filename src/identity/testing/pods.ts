import type { PodDirectory, PodRecord } from "../impersonation.ts";

/** Pods by `cluster/namespace/name`. */
export function podDirectory(pods: Readonly<Record<string, PodRecord>>): PodDirectory {
  return {
    pod: (cluster, namespace, name) => pods[`${cluster}/${namespace}/${name}`],
    runsOn: (cluster, node, account) =>
      Object.entries(pods).some(
        ([key, pod]) =>
          key.startsWith(`${cluster}/${account.namespace}/`) &&
          pod.serviceAccount === account.name &&
          pod.node === node,
      ),
  };
}
