import type { Pod } from "#api/kubernetes/pod.ts";
import { ipv6Key, lenientKey, type ProxyNode, proxyNode } from "../node-metadata.ts";
import type { Surroundings } from "./surroundings.ts";

/** What a sidecar's agent knows of its own Pod, which it has no right to read. */
export function ownPod(told: Surroundings): Pod {
  const { name, namespace, labels, annotations, serviceAccount, metadata } = told;
  const containers = (metadata["APP_CONTAINERS"] ?? "").split(",").filter((each) => each !== "");
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      labels,
      annotations,
      uid: "",
      resourceVersion: "",
      generation: 1,
      creationTimestamp: "",
    },
    spec: {
      containers: containers.map((each) => ({ name: each })),
      serviceAccountName: serviceAccount,
    },
  } as unknown as Pod;
}

/**
 * The proxy's node: what the node's agent would say of it, and before that what the injection says in variables, as Istio's agent has it.
 * @param ipv6 whether connections of IPv6 are led to it.
 */
export function ownNode(
  told: Surroundings,
  role: "sidecar" | "gateway",
  clusterDomain: string,
  ipv6 = false,
): ProxyNode {
  const { [lenientKey]: _never, [ipv6Key]: _claimed, ...metadata } = told.metadata;
  const { address, config, trustDomain, certificateTtlMs: ttlMs } = told;
  const node = proxyNode({
    pod: ownPod(told),
    role,
    address,
    config,
    agent: {
      cluster: metadata["CLUSTER_ID"] ?? "Kubernetes",
      node: metadata["NODE_NAME"] ?? "",
      // The control plane knows where the node is.
      region: "",
      zone: "",
      network: metadata["NETWORK"] ?? "",
      clusterDomain,
      meshId: metadata["MESH_ID"] ?? trustDomain,
      envoy: { program: "", concurrency: config.concurrency ?? told.processors },
      identity: { ca: told.authority, trustDomain, ttlMs },
    },
  });
  const { DNS_CAPTURE: _always, ...own } = node.metadata;
  return { ...node, metadata: { ...own, ...metadata, ...(ipv6 && { [ipv6Key]: "true" }) } };
}
