import { choice, intOrString, int64, list, object, string, time, type Value } from "../schema.ts";

const IstioCondition = object(
  "One aspect of the object's state.",
  {},
  {
    type: string("What the condition tells, such as Reconciled."),
    status: string("True, False or Unknown."),
    reason: string("One word in upper camel case: why the condition has this status."),
    message: string("The same for people."),
    lastProbeTime: time("When the condition was last looked at."),
    lastTransitionTime: time("When the status last changed."),
    observedGeneration: intOrString("The generation of the object that the condition speaks of."),
  },
);

const ValidationMessage = object(
  "Something that analysis found in the object.",
  {},
  {
    type: object(
      "Which message it is.",
      {},
      {
        name: string("The message's name, such as ReferencedResourceNotFound."),
        code: string("The message's code, such as IST0101."),
      },
    ),
    level: choice("How bad it is.", ["UNKNOWN", "ERROR", "WARNING", "INFO"]),
    documentationUrl: string("Where the message is explained."),
  },
);

/** Istio's `meta/v1alpha1.IstioStatus`, which every kind of Istio's has. Open: others may write more into it. */
export const IstioStatus = object(
  "What the mesh made of the object.",
  {},
  {
    conditions: list("The object's state, by aspect.", IstioCondition),
    validationMessages: list("What analysis found in the object.", ValidationMessage),
    observedGeneration: int64("The newest generation of the object that the status speaks of."),
  },
  { open: true },
);
export type IstioStatus = Value<typeof IstioStatus>;
