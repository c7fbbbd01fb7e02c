import type { Column, Kind } from "../kind.ts";
import type { Resource, ResourceObject } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { definition, int32, int64, mergeList, object, string, time, type Value } from "../schema.ts";
import { appsName } from "./deployment.ts";
import { kubernetesKind } from "./kind.ts";
import { LabelSelector } from "./meta.ts";
import { PodTemplateSpec } from "./pod-spec.ts";
import { selectorText } from "./selector.ts";
import { workloadColumns } from "./workload-columns.ts";
import { completeTemplate } from "./pod-defaults.ts";
import { validateReplicaSet, validateSelectorUpdate } from "./workload-validation.ts";

/** Kubernetes' `apps/v1.ReplicaSetSpec`. */
const ReplicaSetSpec = definition(
  appsName("ReplicaSetSpec"),
  object(
    "Which Pods, and how many.",
    {
      selector: LabelSelector,
      template: PodTemplateSpec,
      replicas: int32("How many Pods.", { default: 1, minimum: 0 }),
    },
    { minReadySeconds: int32("Seconds that a new Pod must be ready to count as available.", { minimum: 0 }) },
  ),
);
type ReplicaSetSpec = Value<typeof ReplicaSetSpec>;

/** Kubernetes' `apps/v1.ReplicaSetStatus`. */
export const ReplicaSetStatus = definition(
  appsName("ReplicaSetStatus"),
  object(
    "How the Pods are.",
    { replicas: int32("Pods in all.") },
    {
      fullyLabeledReplicas: int32("Pods that have the template's labels."),
      readyReplicas: int32("Pods that are ready."),
      availableReplicas: int32("Pods that have been ready for minReadySeconds."),
      terminatingReplicas: int32("Pods that are about to go."),
      observedGeneration: int64("The newest generation that the controller has seen."),
      conditions: mergeList(
        "The ReplicaSet's state, by aspect.",
        object(
          "One aspect of the ReplicaSet's state.",
          { type: string("ReplicaFailure."), status: string("True, False or Unknown.") },
          {
            lastTransitionTime: time("When the status last changed."),
            reason: string("One word: why the condition has this status."),
            message: string("The same for people."),
          },
        ),
        "type",
      ),
    },
  ),
);
export type ReplicaSetStatus = Value<typeof ReplicaSetStatus>;

/** Kubernetes' `apps/v1.ReplicaSet`. */
export type ReplicaSet = Resource<{ readonly spec: ReplicaSetSpec; readonly status?: ReplicaSetStatus }>;

/** Fills in the template. */
function complete(object: ResourceObject): ResourceObject {
  const { spec } = object as ReplicaSet;
  return { ...object, spec: { ...spec, template: completeTemplate(spec.template) } };
}

function column(name: string, description: string, cell: (set: ReplicaSet) => number): Column {
  return { name, type: "integer", description, cell: (object) => cell(object as ReplicaSet) };
}

const description = "Keeps some Pods of a template running. Made by Deployments.";

export const replicaSet: Kind = kubernetesKind({
  group: "apps",
  kind: "ReplicaSet",
  plural: "replicasets",
  shortNames: ["rs"],
  categories: ["all"],
  description,
  schema: object(description, { spec: ReplicaSetSpec }, { status: ReplicaSetStatus }),
  columns: [
    column("Desired", "Pods that are wanted.", ({ spec }) => spec.replicas),
    column("Current", "Pods that there are.", ({ status }) => status?.replicas ?? 0),
    column("Ready", "Pods that are ready.", ({ status }) => status?.readyReplicas ?? 0),
    ageColumn,
    ...workloadColumns,
  ],
  status: true,
  scale: { selector: (object) => selectorText((object as ReplicaSet).spec.selector) },
  complete,
  validate: (object) => [...validateReplicaSet(object as ReplicaSet)],
  validateUpdate: (object, before) => [...validateSelectorUpdate(object as ReplicaSet, before as ReplicaSet)],
});
