import { type ObjectRef, refOf, type ResourceObject, type StringMap } from "#api/meta.ts";
import type { Validator } from "#api/validation.ts";
import { labelsMatch } from "#model/labels.ts";
import { type MeshSnapshot, type OpenMesh, openMesh } from "../snapshot.ts";

/** An object of a kind with a specification. */
export interface Subject<Spec> {
  readonly ref: ObjectRef;
  readonly namespace: string;
  readonly name: string;
  /** The member cluster that holds it; empty for the mesh's own. */
  readonly cluster: string;
  readonly labels: StringMap;
  readonly annotations: StringMap;
  readonly spec: Spec;
  readonly object: ResourceObject;
}

/** The objects of a mesh as analyzers ask for them, and the mesh as the control plane would see it. */
export interface MeshObjects {
  readonly snapshot: MeshSnapshot;
  readonly mesh: OpenMesh;
  /** Whether all Pods are known: the mesh was read, and not files alone. */
  readonly live: boolean;
  /** Checks objects as the API does. */
  readonly validator: Validator;
  /** The objects of a kind. Those of one kind have the specification that the kind's schema says. */
  readonly all: <Spec>(kind: string) => readonly Subject<Spec>[];
  /** Pods of a namespace (of all, where it is undefined) that have labels. */
  readonly pods: (labels: StringMap, namespace?: string) => readonly Subject<PodSpec>[];
}

/** A Pod's specification, as far as it is looked at. */
export interface PodSpec {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly securityContext?: { readonly runAsUser?: number };
}

/** A container, as far as it is looked at. */
export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly securityContext?: { readonly runAsUser?: number };
}

/** Whether an object is Istio's own rather than a user's, by Istio's labels. */
export function isControlPlane({ labels }: Subject<unknown>): boolean {
  return labels["istio"] !== undefined || labels["release"] === "istio";
}

function subject<Spec>(object: ResourceObject, cluster: string): Subject<Spec> {
  const { namespace = "", name, labels = {}, annotations = {} } = object.metadata;
  const spec = (object["spec"] ?? {}) as Spec;
  return { ref: refOf(object, cluster), namespace, name, cluster, labels, annotations, spec, object };
}

/**
 * Opens a snapshot for analyzers.
 * @param now the time by which certificates are judged; absent, they count as valid.
 */
export function meshObjects(snapshot: MeshSnapshot, live: boolean, validator: Validator, now?: number): MeshObjects {
  // Gateway API has kinds of the same names as Istio's.
  const own = snapshot.filter(({ object }) => !object.apiVersion.startsWith("gateway.networking.k8s.io/"));
  const byKind = new Map(
    [...Map.groupBy(own, ({ object }) => object.kind)].map(
      ([kind, placed]) => [kind, placed.map(({ object, cluster }) => subject<unknown>(object, cluster))] as const,
    ),
  );
  const all = <Spec>(kind: string): readonly Subject<Spec>[] => (byKind.get(kind) ?? []) as Subject<Spec>[];
  const allPods = all<PodSpec>("Pod");
  const pods = Map.groupBy(allPods, ({ namespace }) => namespace);
  return {
    snapshot,
    mesh: openMesh(snapshot, now === undefined ? {} : { now }),
    live,
    validator,
    all,
    pods: (labels, namespace) =>
      (namespace === undefined ? allPods : (pods.get(namespace) ?? [])).filter((pod) =>
        labelsMatch(labels, pod.labels),
      ),
  };
}
