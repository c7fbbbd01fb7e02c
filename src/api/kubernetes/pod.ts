import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { object } from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { podColumns } from "./pod-columns.ts";
import { PodSpec } from "./pod-spec.ts";
import { PodStatus } from "./pod-status.ts";
import { completePod } from "./pod-defaults.ts";
import { validatePod, validatePodUpdate } from "./pod-validation.ts";

/** Kubernetes' `core/v1.Pod`. */
export type Pod = Resource<{ readonly spec: PodSpec; readonly status?: PodStatus }>;

const description = "One or more programs that run together on a node and share its network address.";

export const pod: Kind = kubernetesKind({
  kind: "Pod",
  plural: "pods",
  shortNames: ["po"],
  categories: ["all"],
  description,
  schema: object(description, { spec: PodSpec }, { status: PodStatus }),
  columns: podColumns,
  status: true,
  complete: completePod,
  validate: (object) => [...validatePod(object as Pod)],
  validateUpdate: (object, before) => [...validatePodUpdate(object as Pod, before as Pod)],
});
