import type { Column, Kind } from "../kind.ts";
import type { Resource, ResourceObject } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import {
  boolean,
  choice,
  definition,
  int32,
  int64,
  intOrString,
  mergeList,
  object,
  patched,
  string,
  time,
  type Value,
} from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { LabelSelector } from "./meta.ts";
import { PodTemplateSpec } from "./pod-spec.ts";
import { selectorText } from "./selector.ts";
import { workloadColumns } from "./workload-columns.ts";
import { completeTemplate } from "./pod-defaults.ts";
import { validateDeployment, validateSelectorUpdate } from "./workload-validation.ts";

/** Name of a schema of Kubernetes' apps group in OpenAPI documents. */
export function appsName(type: string): string {
  return `io.k8s.api.apps.v1.${type}`;
}

const DeploymentStrategy = definition(
  appsName("DeploymentStrategy"),
  object(
    "How old Pods are replaced.",
    { type: choice("Little by little, or all at once.", ["RollingUpdate", "Recreate"], { default: "RollingUpdate" }) },
    {
      rollingUpdate: object(
        "Settings of RollingUpdate.",
        {
          maxUnavailable: intOrString("How many Pods may be missing meanwhile, as a count or percentage.", {
            default: "25%",
          }),
          maxSurge: intOrString("How many Pods there may be too many meanwhile, as a count or percentage.", {
            default: "25%",
          }),
        },
        {},
      ),
    },
    { default: {} },
  ),
);

/** Kubernetes' `apps/v1.DeploymentSpec`. */
const DeploymentSpec = definition(
  appsName("DeploymentSpec"),
  object(
    "Which Pods, how many, and how they are replaced.",
    {
      selector: LabelSelector,
      template: PodTemplateSpec,
      replicas: int32("How many Pods.", { default: 1, minimum: 0 }),
      strategy: patched("retainKeys", DeploymentStrategy),
      revisionHistoryLimit: int32("How many old ReplicaSets are kept for going back.", { default: 10, minimum: 0 }),
      progressDeadlineSeconds: int32("Seconds without progress after which the rollout counts as failed.", {
        default: 600,
        minimum: 0,
      }),
    },
    {
      minReadySeconds: int32("Seconds that a new Pod must be ready to count as available.", { minimum: 0 }),
      paused: boolean("Whether changes of the template wait."),
    },
  ),
);
type DeploymentSpec = Value<typeof DeploymentSpec>;

/** Kubernetes' `apps/v1.DeploymentStatus`. */
export const DeploymentStatus = definition(
  appsName("DeploymentStatus"),
  object(
    "How the rollout is.",
    {},
    {
      observedGeneration: int64("The newest generation that the controller has seen."),
      replicas: int32("Pods in all."),
      updatedReplicas: int32("Pods of the current template."),
      readyReplicas: int32("Pods that are ready."),
      availableReplicas: int32("Pods that have been ready for minReadySeconds."),
      unavailableReplicas: int32("Pods that are missing."),
      terminatingReplicas: int32("Pods that are about to go."),
      conditions: mergeList(
        "The Deployment's state, by aspect.",
        object(
          "One aspect of the Deployment's state.",
          { type: string("Available, Progressing or ReplicaFailure."), status: string("True, False or Unknown.") },
          {
            lastUpdateTime: time("When the condition was last written."),
            lastTransitionTime: time("When the status last changed."),
            reason: string("One word: why the condition has this status."),
            message: string("The same for people."),
          },
        ),
        "type",
      ),
      collisionCount: int32("How often a ReplicaSet's name was taken."),
    },
  ),
);
export type DeploymentStatus = Value<typeof DeploymentStatus>;

/** Kubernetes' `apps/v1.Deployment`. */
export type Deployment = Resource<{ readonly spec: DeploymentSpec; readonly status?: DeploymentStatus }>;

/** Fills in the settings of the strategy, which depend on its type, and of the template. */
function complete(object: ResourceObject): ResourceObject {
  const { spec } = object as Deployment;
  const rolling = spec.strategy.type === "RollingUpdate";
  const rollingUpdate = spec.strategy.rollingUpdate ?? { maxUnavailable: "25%", maxSurge: "25%" };
  const strategy = rolling ? { ...spec.strategy, rollingUpdate } : spec.strategy;
  return { ...object, spec: { ...spec, strategy, template: completeTemplate(spec.template) } };
}

function column(name: string, description: string, cell: (deployment: Deployment) => string | number): Column {
  return {
    name,
    type: name === "Ready" ? "string" : "integer",
    description,
    cell: (object) => cell(object as Deployment),
  };
}

const description = "Keeps some Pods of a template running and replaces them when the template changes.";

export const deployment: Kind = kubernetesKind({
  group: "apps",
  kind: "Deployment",
  plural: "deployments",
  shortNames: ["deploy"],
  categories: ["all"],
  description,
  schema: object(description, { spec: DeploymentSpec }, { status: DeploymentStatus }),
  columns: [
    column("Ready", "Pods that are ready, of those wanted.", ({ spec, status }) => {
      return `${status?.readyReplicas ?? 0}/${spec.replicas}`;
    }),
    column("Up-to-date", "Pods of the current template.", ({ status }) => status?.updatedReplicas ?? 0),
    column("Available", "Pods that take traffic.", ({ status }) => status?.availableReplicas ?? 0),
    ageColumn,
    ...workloadColumns,
  ],
  status: true,
  scale: { selector: (object) => selectorText((object as Deployment).spec.selector) },
  complete,
  validate: (object) => [...validateDeployment(object as Deployment)],
  validateUpdate: (object, before) => [...validateSelectorUpdate(object as Deployment, before as Deployment)],
});
