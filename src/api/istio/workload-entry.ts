import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn, fieldColumn } from "../columns.ts";
import { definition, map, object, string, uint32, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { networkingKind } from "./kind.ts";
import type { IstioStatus } from "./status.ts";
import { validateWorkloadEntry } from "./workload-validation.ts";
import { workloadEntryWarnings } from "./warnings.ts";

export const WorkloadEntrySpec = definition(
  istioName("WorkloadEntrySpec"),
  object(
    "A workload that is no Pod, such as a virtual machine.",
    {},
    {
      address: string("IP address, DNS name, or unix:// and a path. May be absent where network is set.", {
        maxLength: 256,
      }),
      ports: map("Numbers of the workload's ports, by the service port's name.", uint32("The port's number."), {
        maxProperties: 128,
      }),
      labels: map("Labels, as Pods have them.", string("The label's value."), { maxProperties: 256 }),
      network: string("The network that the workload is in; workloads of one network reach each other directly.", {
        maxLength: 2048,
      }),
      locality: string("Where the workload stands: region/zone/sub-zone.", { maxLength: 2048 }),
      weight: uint32("Share of requests against other endpoints. 1 unless set."),
      serviceAccount: string("Service account whose identity the workload has, in its own namespace.", {
        maxLength: 253,
      }),
    },
  ),
);
export type WorkloadEntrySpec = Value<typeof WorkloadEntrySpec>;

/** Istio's `networking.istio.io/v1.WorkloadEntry`. */
export type WorkloadEntry = Resource<{ readonly spec: WorkloadEntrySpec; readonly status?: IstioStatus }>;

export const workloadEntry: Kind = networkingKind({
  kind: "WorkloadEntry",
  plural: "workloadentries",
  shortNames: ["we"],
  description: "One workload outside Kubernetes, with what a Pod would tell about itself.",
  spec: WorkloadEntrySpec,
  columns: [ageColumn, fieldColumn("Address", ["spec", "address"], "Where the workload is reached.")],
  validate: (object) => validateWorkloadEntry(object as WorkloadEntry),
  warnings: (object) => workloadEntryWarnings(object as WorkloadEntry),
});
