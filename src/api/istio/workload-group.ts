import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { definition, described, int32, list, map, object, string, uint32, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { networkingKind } from "./kind.ts";
import type { IstioStatus } from "./status.ts";
import { WorkloadEntrySpec } from "./workload-entry.ts";
import { validateWorkloadGroup } from "./workload-validation.ts";

const ReadinessProbe = object(
  "How the agent finds out whether the workload is ready.",
  {},
  {
    initialDelaySeconds: int32("Seconds from the start to the first probe.", { minimum: 0 }),
    timeoutSeconds: int32("Seconds that a probe may take. 1 unless set.", { minimum: 0 }),
    periodSeconds: int32("Seconds between two probes. 10 unless set.", { minimum: 0 }),
    successThreshold: int32("Successes in a row after which the workload is ready. 1 unless set.", { minimum: 0 }),
    failureThreshold: int32("Failures in a row after which it is not ready. 3 unless set.", { minimum: 0 }),
    httpGet: object(
      "Ask by HTTP; 200 to 399 is a success.",
      { port: uint32("The port to connect to.") },
      {
        path: string("The path to ask for."),
        host: string("The host to connect to."),
        scheme: string("HTTP or HTTPS. HTTP unless set."),
        httpHeaders: list(
          "More headers of the request.",
          object(
            "A header.",
            {},
            { name: string("The header's name.", { pattern: "^[-_A-Za-z0-9]+$" }), value: string("Its value.") },
          ),
        ),
      },
    ),
    tcpSocket: object(
      "Connect by TCP.",
      { port: uint32("The port to connect to.") },
      { host: string("The host to connect to. localhost unless set.") },
    ),
    exec: object(
      "Run a command; status 0 is a success.",
      { command: list("Program and arguments.", string("A word of the command.", { minLength: 1 })) },
      {},
    ),
    grpc: object(
      "Ask gRPC's health service.",
      {},
      { port: uint32("The port to connect to."), service: string("The service to ask about. The server unless set.") },
    ),
  },
  { oneOf: [["httpGet", "tcpSocket", "exec", "grpc"]] },
);

export const WorkloadGroupSpec = definition(
  istioName("WorkloadGroupSpec"),
  object(
    "What the workloads of the group have in common.",
    { template: described("What a WorkloadEntry of the group begins with.", WorkloadEntrySpec) },
    {
      metadata: object(
        "Metadata of the group's WorkloadEntries.",
        {},
        {
          labels: map("Labels of each entry.", string("The label's value."), { maxProperties: 256 }),
          annotations: map("Annotations of each entry.", string("The annotation's value."), { maxProperties: 256 }),
        },
      ),
      probe: ReadinessProbe,
    },
  ),
);
export type WorkloadGroupSpec = Value<typeof WorkloadGroupSpec>;

/** Istio's `networking.istio.io/v1.WorkloadGroup`. */
export type WorkloadGroup = Resource<{ readonly spec: WorkloadGroupSpec; readonly status?: IstioStatus }>;

export const workloadGroup: Kind = networkingKind({
  kind: "WorkloadGroup",
  plural: "workloadgroups",
  shortNames: ["wg"],
  description: "Many workloads outside Kubernetes that are alike, as a Deployment is for Pods.",
  spec: WorkloadGroupSpec,
  columns: [],
  validate: (object) => validateWorkloadGroup(object as WorkloadGroup),
});
