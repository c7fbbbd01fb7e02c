import type { Pod } from "#api/kubernetes/pod.ts";
import type { ObjectMeta } from "#api/meta.ts";

/** A Pod of one container, as the API server would have it, with some members of its metadata and specification set. */
export function podOf(metadata: Partial<ObjectMeta> = {}, spec: Partial<Pod["spec"]> = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "reviews-v1-5f9c7-x2k4p",
      namespace: "shop",
      uid: "6f1c2a52-0000-4000-8000-000000000001",
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels: { app: "reviews", version: "v1", "pod-template-hash": "5f9c7" },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: "reviews-v1-5f9c7", uid: "u", controller: true },
      ],
      ...metadata,
    },
    spec: {
      containers: [containerOf()],
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      schedulerName: "default-scheduler",
      enableServiceLinks: true,
      securityContext: {},
      serviceAccountName: "reviews",
      nodeName: "east-1",
      ...spec,
    },
  };
}

/** A container with one port. */
export function containerOf(more: Partial<Pod["spec"]["containers"][number]> = {}): Pod["spec"]["containers"][number] {
  return {
    name: "app",
    image: "weft.dev/bookshop/reviews:v1",
    ports: [{ name: "http", containerPort: 9080, protocol: "TCP" }],
    resources: {},
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    ...more,
  };
}
