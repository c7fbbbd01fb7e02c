import type { Deployment } from "#api/kubernetes/deployment.ts";
import type { Node } from "#api/kubernetes/node.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { ReplicaSet } from "#api/kubernetes/replica-set.ts";
import type { Service, ServiceSpec } from "#api/kubernetes/service.ts";
import type { ObjectMeta, StringMap } from "#api/meta.ts";

/** Metadata as an API server would fill it in. */
export function metaOf(name: string, more: Partial<ObjectMeta> = {}): ObjectMeta {
  return {
    name,
    namespace: "shop",
    uid: `uid-${name}`,
    resourceVersion: "1",
    generation: 1,
    creationTimestamp: "2026-01-01T00:00:00Z",
    ...more,
  };
}

const container = {
  name: "app",
  image: "weft.dev/test/app",
  resources: {},
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
} as const;

const podSpec = {
  containers: [container],
  restartPolicy: "Always",
  terminationGracePeriodSeconds: 30,
  dnsPolicy: "ClusterFirst",
  schedulerName: "default-scheduler",
  enableServiceLinks: true,
  securityContext: {},
} as const;

/** What tests say of a Pod. */
export interface PodTraits extends Partial<ObjectMeta> {
  readonly node?: string;
  readonly address?: string;
  readonly phase?: string;
  /** Since when it is ready, in seconds since the epoch; not at all unless told. */
  readonly readySince?: number;
  readonly restarts?: number;
  readonly nodeSelector?: StringMap;
  readonly tolerations?: Pod["spec"]["tolerations"];
  readonly ports?: readonly {
    readonly containerPort: number;
    readonly name?: string;
    readonly hostPort?: number;
    readonly hostIP?: string;
  }[];
}

/** A Pod of one container. */
export function podOf(name: string, traits: PodTraits = {}): Pod {
  const {
    node,
    address,
    phase = "Running",
    readySince,
    restarts,
    nodeSelector,
    tolerations,
    ports = [],
    ...meta
  } = traits;
  const ready = {
    type: "Ready",
    status: readySince === undefined ? "False" : "True",
    lastTransitionTime: new Date((readySince ?? 0) * 1000).toISOString(),
  };
  const status = { name: "app", ready: true, restartCount: restarts ?? 0, image: "", imageID: "" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: metaOf(name, meta),
    spec: {
      ...podSpec,
      containers: [{ ...container, ports: ports.map((port) => ({ protocol: "TCP", ...port })) }],
      ...(node === undefined ? {} : { nodeName: node }),
      ...(nodeSelector === undefined ? {} : { nodeSelector }),
      ...(tolerations === undefined ? {} : { tolerations }),
    },
    status: {
      phase,
      conditions: [ready],
      containerStatuses: restarts === undefined ? [] : [status],
      ...(address === undefined ? {} : { podIP: address }),
    },
  };
}

/** A node that is ready unless told. */
export function nodeOf(
  name: string,
  traits: { readonly ready?: boolean; readonly labels?: StringMap; readonly spec?: Node["spec"] } = {},
): Node {
  const { ready = true, labels = {}, spec = {} } = traits;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: metaOf(name, { labels }),
    spec,
    status: { conditions: [{ type: "Ready", status: ready ? "True" : "Unknown" }] },
  };
}

/** A Service of the Pods labelled `app` with its name. */
export function serviceOf(name: string, spec: Partial<ServiceSpec> = {}): Service {
  const ports = [{ name: "http", port: 80, protocol: "TCP", targetPort: 9080 }] as const;
  const base = {
    type: "ClusterIP",
    sessionAffinity: "None",
    selector: { app: name },
    ports,
    clusterIP: "10.110.0.9",
  } as const;
  return { apiVersion: "v1", kind: "Service", metadata: metaOf(name), spec: { ...base, ...spec } };
}

/** A Deployment of Pods with one container. */
export function deploymentOf(name: string, spec: Partial<Deployment["spec"]> = {}): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: metaOf(name),
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: podSpec },
      replicas: 3,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      ...spec,
    },
  };
}

/** A ReplicaSet of a size, with so many Pods available. */
export function setOf(name: string, replicas: number, available = replicas, annotations: StringMap = {}): ReplicaSet {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: metaOf(name, { annotations }),
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec } },
    status: { replicas, availableReplicas: available, readyReplicas: available, observedGeneration: 1 },
  };
}
