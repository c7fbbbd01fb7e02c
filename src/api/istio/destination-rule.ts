import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { fieldColumn } from "../columns.ts";
import { definition, described, list, map, object, string, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { networkingKind } from "./kind.ts";
import type { IstioStatus } from "./status.ts";
import { TrafficPolicy } from "./traffic-policy.ts";
import { validateDestinationRule } from "./destination-rule-validation.ts";
import { destinationRuleWarnings } from "./warnings.ts";

export const Subset = object(
  "A named part of a service's endpoints, such as one version.",
  { name: string("The subset's name, which routes refer to.") },
  {
    labels: map("Labels that an endpoint must have, all of them.", string("The label's value.")),
    trafficPolicy: described("The subset's policy; what it does not set comes from the rule's.", TrafficPolicy),
  },
);
export type Subset = Value<typeof Subset>;

export const DestinationRuleSpec = definition(
  istioName("DestinationRuleSpec"),
  object(
    "The host, and how proxies deal with it after routing.",
    {
      host: string(
        "A service's name in the registry. A short name is completed with the rule's own namespace: write reviews.shop.svc.cluster.local to be sure.",
      ),
    },
    {
      trafficPolicy: TrafficPolicy,
      subsets: list("Named parts of the service's endpoints, for routes.", Subset),
      exportTo: list(
        "Namespaces whose callers see the rule. All unless set.",
        string("A namespace, . for the object's own, or * for all."),
      ),
      workloadSelector: object(
        "Which callers the rule is for, in the rule's own namespace. All unless set.",
        {},
        {
          matchLabels: map(
            "Labels that a workload must have, all of them.",
            string("The label's value.", { maxLength: 63 }),
            { maxProperties: 4096 },
          ),
        },
      ),
    },
  ),
);
export type DestinationRuleSpec = Value<typeof DestinationRuleSpec>;

/** Istio's `networking.istio.io/v1.DestinationRule`. */
export type DestinationRule = Resource<{ readonly spec: DestinationRuleSpec; readonly status?: IstioStatus }>;

export const destinationRule: Kind = networkingKind({
  kind: "DestinationRule",
  plural: "destinationrules",
  shortNames: ["dr"],
  description: "What happens to requests for a service after routing: load balancing, pools, outliers, TLS, subsets.",
  spec: DestinationRuleSpec,
  columns: [fieldColumn("Host", ["spec", "host"], "The service that the rule is for.")],
  validate: (object) => validateDestinationRule(object as DestinationRule),
  warnings: (object) => destinationRuleWarnings(object as DestinationRule),
});
