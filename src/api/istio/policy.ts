import { definition, described, list, map, object, string, type Value } from "../schema.ts";
import { istioName } from "./common.ts";

/** Istio's `type/v1beta1.WorkloadSelector`. */
export const PolicySelector = definition(
  istioName("WorkloadSelector", "type"),
  object(
    "Which workloads the object is for, in its own namespace; those of all namespaces in the root namespace.",
    {},
    {
      matchLabels: map(
        "Labels that a workload must have, all of them.",
        string("The label's value.", { maxLength: 63 }),
        { maxProperties: 4096 },
      ),
    },
  ),
);
export type PolicySelector = Value<typeof PolicySelector>;

/** Istio's `type/v1beta1.PolicyTargetReference`. */
export const PolicyTargetReference = definition(
  istioName("PolicyTargetReference", "type"),
  object(
    "What the object is for, instead of workloads by their labels.",
    {
      kind: string("Its kind: Service, ServiceEntry, Gateway or GatewayClass.", {
        minLength: 1,
        maxLength: 63,
        pattern: "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
      }),
      name: string("Its name.", { minLength: 1, maxLength: 253 }),
    },
    {
      group: string("Its group; empty for the core group.", {
        maxLength: 253,
        pattern: "^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
      }),
      namespace: string("Must be empty: only objects of the same namespace can be meant."),
    },
  ),
);
export type PolicyTargetReference = Value<typeof PolicyTargetReference>;

/** How many targets an object may name. */
const maxTargets = 16;

/** The fields by which kinds say what they are for; at most one of them is set. */
export const policyTargets = {
  selector: described("Which workloads the object is for. All of its namespace unless set.", PolicySelector),
  targetRefs: list("What the object is for, instead of a selector.", PolicyTargetReference, { maxItems: maxTargets }),
};

/** The same for kinds that once had a single reference. */
export const policyTargetsWithOne = {
  ...policyTargets,
  targetRef: described("The same as one entry of targetRefs, which takes its place.", PolicyTargetReference),
};
