import { createHash } from "node:crypto";
import { canonical } from "#base/canonical.ts";
import { type InstallObject, ownObject } from "./object.ts";
import type { InstallOptions } from "./options.ts";

/** A volume of a Pod, and where its containers find it. */
export interface Mount {
  readonly name: string;
  readonly path: string;
  readonly readOnly?: boolean;
  /** What the volume is, as Kubernetes' `core/v1.Volume` says it. */
  readonly source: object;
}

/** A part of the control plane that runs as Pods. */
export interface Part {
  readonly name: string;
  /** The label `app` of its Pods, and the account that they act as: its name unless told. */
  readonly app?: string;
  readonly replicas: number;
  /** How old Pods are replaced. */
  readonly strategy: object;
  readonly mounts: readonly Mount[];
  /** The arguments of `weft`. */
  readonly args: readonly string[];
  /** Arguments of a `weft` that runs to its end before. */
  readonly before?: readonly string[];
  readonly ports: Readonly<Record<string, number>>;
  /** The port that tells whether it serves. */
  readonly probe?: number;
  readonly requests: Readonly<Record<"cpu" | "memory", string>>;
  /** Seconds that it has to end. */
  readonly graceSeconds: number;
  /** Objects whose change has its Pods made anew. */
  readonly reads: readonly InstallObject[];
  /** Labels that tell its Pods from those of others of the same `app`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Labels by which its Deployment knows its Pods, which never change: all of them unless told. */
  readonly selector?: Readonly<Record<string, string>>;
}

/** The labels by which the Pods of a part are found. */
function labelsOf({
  name,
  app = name,
  labels = {},
}: Pick<Part, "name" | "app" | "labels">): Readonly<Record<string, string>> {
  return { app, ...labels };
}

/** The user that all parts run as: the proxy's in Istio. */
const user = 1337;

const podSecurity = {
  runAsNonRoot: true,
  runAsUser: user,
  runAsGroup: user,
  fsGroup: user,
  seccompProfile: { type: "RuntimeDefault" },
};
const containerSecurity = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/** Folders that every part writes into. */
const scratch: readonly Mount[] = [
  { name: "run", path: "/run/weft", source: { emptyDir: {} } },
  { name: "tmp", path: "/tmp", source: { emptyDir: {} } },
];

function hashOf(objects: readonly InstallObject[]): string {
  return createHash("sha256").update(canonical(objects)).digest("hex").slice(0, 16);
}

/** A program that is not there yet may take five minutes to start; one that hangs for half a minute is started again. */
function probes(port: number): object {
  const tcpSocket = { port };
  return {
    startupProbe: { tcpSocket, periodSeconds: 2, failureThreshold: 150 },
    readinessProbe: { tcpSocket, periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 5 },
    livenessProbe: { tcpSocket, periodSeconds: 10, failureThreshold: 3, timeoutSeconds: 5 },
  };
}

/** The Deployment of a part. */
export function deploymentOf(
  part: Part,
  { image, imagePullPolicy }: Pick<InstallOptions, "image" | "imagePullPolicy">,
): InstallObject {
  const mounts = [...part.mounts, ...scratch];
  const common = {
    image,
    imagePullPolicy,
    securityContext: containerSecurity,
    env: [
      { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
    ],
    volumeMounts: mounts.map(({ name, path, readOnly = false }) => ({
      name,
      mountPath: path,
      ...(readOnly && { readOnly }),
    })),
  };
  const container = {
    name: part.app ?? part.name,
    command: ["weft", ...part.args],
    ports: Object.entries(part.ports).map(([name, containerPort]) => ({ name, containerPort, protocol: "TCP" })),
    resources: { requests: part.requests },
    ...common,
    ...(part.probe !== undefined && probes(part.probe)),
  };
  const initContainers = part.before && [{ name: "begin", command: ["weft", ...part.before], ...common }];
  const own = labelsOf(part);
  const labels = { ...own, "sidecar.istio.io/inject": "false" };
  const template = {
    metadata: { labels, annotations: { "mesh.weft.dev/configuration": hashOf(part.reads) } },
    spec: {
      serviceAccountName: part.app ?? part.name,
      securityContext: podSecurity,
      terminationGracePeriodSeconds: part.graceSeconds,
      ...(part.replicas > 1 && { topologySpreadConstraints: [spread(own)] }),
      ...(initContainers && { initContainers }),
      containers: [container],
      volumes: mounts.map(({ name, source }) => ({ name, ...source })),
    },
  };
  const matchLabels = part.selector ?? own;
  const spec = { replicas: part.replicas, strategy: part.strategy, selector: { matchLabels }, template };
  return ownObject("apps/v1", "Deployment", part.name, { spec });
}

/** Pods of a part go to different nodes where there are some. */
function spread(matchLabels: object): object {
  const labelSelector = { matchLabels };
  return { maxSkew: 1, topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway", labelSelector };
}

/** A Service of a part's Pods, from ports of the Service to those of the Pods. */
export function serviceOf(
  part: Pick<Part, "name" | "app" | "labels">,
  ports: readonly { name: string; port: number; target: number }[],
): InstallObject {
  const spec = {
    selector: labelsOf(part),
    ports: ports.map((each) => ({ name: each.name, port: each.port, targetPort: each.target, protocol: "TCP" })),
  };
  return ownObject("v1", "Service", part.name, { spec });
}

/** Lets nodes be emptied of a part's Pods no faster than one after the other; nothing where there is only one. */
export function budgetOf(part: Pick<Part, "name" | "app" | "labels" | "replicas">): readonly InstallObject[] {
  if (part.replicas < 2) return [];
  const spec = { maxUnavailable: 1, selector: { matchLabels: labelsOf(part) } };
  return [ownObject("policy/v1", "PodDisruptionBudget", part.name, { spec })];
}
