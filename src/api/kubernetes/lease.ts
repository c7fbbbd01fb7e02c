import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { definition, int32, object, string, time, type Value } from "../schema.ts";
import { kubernetesKind } from "./kind.ts";

const LeaseSpec = definition(
  "io.k8s.api.coordination.v1.LeaseSpec",
  object(
    "Who holds the lease, and how long.",
    {},
    {
      holderIdentity: string("Who holds it."),
      leaseDurationSeconds: int32("Seconds without a renewal after which others may take it.", { minimum: 1 }),
      acquireTime: time("When the holder took it, to the microsecond."),
      renewTime: time("When the holder last renewed it, to the microsecond."),
      leaseTransitions: int32("How often it went to another holder.", { minimum: 0 }),
      strategy: string("How the holder is chosen."),
      preferredHolder: string("Who should take it over."),
    },
    { default: {} },
  ),
);

/** Kubernetes' `coordination.k8s.io/v1.Lease`. */
export type Lease = Resource<{ readonly spec: Value<typeof LeaseSpec> }>;

const description = "Something that one process at a time holds; nodes tell with one that they live.";

export const lease: Kind = kubernetesKind({
  group: "coordination.k8s.io",
  kind: "Lease",
  plural: "leases",
  shortNames: [],
  home: "both",
  description,
  schema: object(description, { spec: LeaseSpec }, {}),
  columns: [
    {
      name: "Holder",
      type: "string",
      description: "Who holds the lease.",
      cell: (object) => (object as Lease).spec.holderIdentity ?? "",
    },
    ageColumn,
  ],
  status: false,
});
