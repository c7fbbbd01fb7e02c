import { definition, described, int32, list, object, string } from "../schema.ts";
import { coreName, LabelSelector } from "./meta.ts";

const requirement = object(
  "A condition on one label or field.",
  { key: string("The label or field."), operator: string("In, NotIn, Exists, DoesNotExist, Gt or Lt.") },
  { values: list("Values, for In, NotIn, Gt and Lt.", string("A value.")) },
);

const NodeSelectorTerm = object(
  "Conditions, all of which must hold.",
  {},
  {
    matchExpressions: list("Conditions on labels of the node.", requirement),
    matchFields: list("Conditions on fields of the node.", requirement),
  },
  { atomic: true },
);

const PodAffinityTerm = object(
  "Pods, and a place that is shared with them or not.",
  { topologyKey: string("Label of the nodes that tells the place.") },
  {
    labelSelector: described("Labels of the Pods.", LabelSelector),
    namespaces: list("Namespaces of the Pods. The Pod's own unless set.", string("A namespace.")),
    namespaceSelector: described("Labels of the Pods' namespaces.", LabelSelector),
    matchLabelKeys: list("Labels of the Pod that the others must share.", string("A label.")),
    mismatchLabelKeys: list("Labels of the Pod that the others must not share.", string("A label.")),
  },
);

const podTerms = {
  requiredDuringSchedulingIgnoredDuringExecution: list("What must hold.", PodAffinityTerm),
  preferredDuringSchedulingIgnoredDuringExecution: list(
    "What is better.",
    object("A wish and how much it counts.", { weight: int32("From 1 to 100."), podAffinityTerm: PodAffinityTerm }, {}),
  ),
} as const;

/** Kubernetes' `core/v1.Affinity`. */
export const Affinity = definition(
  coreName("Affinity"),
  object(
    "Finer wishes about nodes. Kept, and not used by embedded clusters.",
    {},
    {
      nodeAffinity: object(
        "Wishes about the node itself.",
        {},
        {
          requiredDuringSchedulingIgnoredDuringExecution: object(
            "What must hold.",
            { nodeSelectorTerms: list("Terms, of which one must hold.", NodeSelectorTerm) },
            {},
            { atomic: true },
          ),
          preferredDuringSchedulingIgnoredDuringExecution: list(
            "What is better.",
            object(
              "A wish and how much it counts.",
              { weight: int32("From 1 to 100."), preference: NodeSelectorTerm },
              {},
            ),
          ),
        },
      ),
      podAffinity: object("Pods that it should be near.", {}, podTerms),
      podAntiAffinity: object("Pods that it should not be near.", {}, podTerms),
    },
  ),
);
