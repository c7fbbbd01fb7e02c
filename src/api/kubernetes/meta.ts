import {
  anyObject,
  boolean,
  definition,
  int64,
  list,
  map,
  mergeList,
  mergeSet,
  object,
  string,
  time,
  type Value,
} from "../schema.ts";

/** Kubernetes' API of version 1.36, which all schemas of this folder follow. */
export const kubernetesRelease = "1.36";

/** Name of a schema of Kubernetes' in OpenAPI documents, such as `coreName("Pod")`. */
export function coreName(type: string): string {
  return `io.k8s.api.core.v1.${type}`;
}

/** Name of a schema of Kubernetes' general types in OpenAPI documents. */
function metaName(type: string): string {
  return `io.k8s.apimachinery.pkg.apis.meta.v1.${type}`;
}

const OwnerReference = definition(
  metaName("OwnerReference"),
  object(
    "Another object, with which this one goes.",
    {
      apiVersion: string("The owner's API version."),
      kind: string("The owner's kind."),
      name: string("The owner's name."),
      uid: string("The owner's uid."),
    },
    {
      controller: boolean("Whether the owner manages this object; at most one owner does."),
      blockOwnerDeletion: boolean("Whether a foreground deletion of the owner waits for this object."),
    },
    { atomic: true },
  ),
);

/** Kubernetes' `meta/v1.ObjectMeta` as users submit it; what the server fills in may be there and is put right by it. */
export const ObjectMeta = definition(
  metaName("ObjectMeta"),
  object(
    "The object's name, labels and what the server keeps about it.",
    {},
    {
      name: string("The object's name, which cannot change."),
      generateName: string("Begin of a name that the server completes; where name is absent."),
      namespace: string("The object's namespace, which cannot change."),
      labels: map("Labels, by which objects are selected.", string("The label's value.")),
      annotations: map("Annotations: any text for people and tools.", string("The annotation's value.")),
      finalizers: mergeSet("What must still be done before the object goes.", string("Who does it.")),
      ownerReferences: mergeList("Objects with which this one goes.", OwnerReference, "uid"),
      uid: string("Set by the server: tells this object from others that had its name."),
      resourceVersion: string(
        "Set by the server: changes with every write. Given back, a write fails if another came first.",
      ),
      generation: int64("Set by the server: counts changes of the specification."),
      creationTimestamp: time("Set by the server: when the object was made."),
      deletionTimestamp: time("Set by the server: when the object was deleted and began to wait for its finalizers."),
      deletionGracePeriodSeconds: int64("Set by the server: how long the object has to end."),
      managedFields: list("Who set which fields.", anyObject("One writer and its fields.")),
      selfLink: string("Not used any more."),
    },
  ),
);

const LabelSelectorRequirement = object(
  "A condition on one label.",
  {
    key: string("The label."),
    operator: string("In, NotIn, Exists or DoesNotExist."),
  },
  { values: list("Values, for In and NotIn.", string("A value.")) },
);

/** Kubernetes' `meta/v1.LabelSelector`. */
export const LabelSelector = definition(
  metaName("LabelSelector"),
  object(
    "Which objects are meant, by their labels.",
    {},
    {
      matchLabels: map("Labels that an object must have, all of them.", string("The label's value.")),
      matchExpressions: list("Conditions that must hold too, all of them.", LabelSelectorRequirement),
    },
    { atomic: true },
  ),
);
export type LabelSelector = Value<typeof LabelSelector>;

/** Kubernetes' `meta/v1.Condition`. */
export const Condition = definition(
  metaName("Condition"),
  object(
    "One aspect of the object's state.",
    {
      type: string("What the condition tells."),
      status: string("True, False or Unknown."),
      lastTransitionTime: time("When the status last changed."),
      reason: string("One word in upper camel case: why the condition has this status."),
      message: string("The same for people; may be empty."),
    },
    { observedGeneration: int64("The generation of the object that the condition speaks of.") },
  ),
);
export type Condition = Value<typeof Condition>;

/** Kubernetes' `core/v1.ObjectReference`. */
export const ObjectReference = definition(
  coreName("ObjectReference"),
  object(
    "Names another object.",
    {},
    {
      kind: string("The object's kind."),
      namespace: string("The object's namespace."),
      name: string("The object's name."),
      uid: string("The object's uid."),
      apiVersion: string("The object's API version."),
      resourceVersion: string("The version of the object that is meant."),
      fieldPath: string("The part of the object that is meant, such as spec.containers{web}."),
    },
    { atomic: true },
  ),
);
export type ObjectReference = Value<typeof ObjectReference>;

/** Kubernetes' `core/v1.LocalObjectReference`. */
export const LocalObjectReference = definition(
  coreName("LocalObjectReference"),
  object(
    "Names an object of the same namespace.",
    { name: string("The object's name.", { default: "" }) },
    {},
    { atomic: true },
  ),
);

/** Transport protocols of ports. */
export const protocols = ["TCP", "UDP", "SCTP"] as const;
