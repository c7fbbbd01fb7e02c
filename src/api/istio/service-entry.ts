import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { fieldColumn } from "../columns.ts";
import { choice, definition, list, keyedList, object, string, uint32, type Value } from "../schema.ts";
import { istioName, WorkloadSelector } from "./common.ts";
import { networkingKind } from "./kind.ts";
import type { IstioStatus } from "./status.ts";
import { WorkloadEntrySpec } from "./workload-entry.ts";
import { validateServiceEntry } from "./service-entry-validation.ts";
import { serviceEntryWarnings } from "./warnings.ts";

const ServicePort = object(
  "A port of the service.",
  {
    number: uint32("The port's number."),
    name: string("The port's name.", { maxLength: 256 }),
  },
  {
    protocol: string("What is spoken on it: HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.", { maxLength: 256 }),
    targetPort: uint32("The endpoints' port. The same number unless set."),
  },
);

export const ServiceEntrySpec = definition(
  istioName("ServiceEntrySpec"),
  object(
    "A service that Kubernetes does not know of.",
    {
      hosts: list(
        "DNS names that callers use; TLS server names and HTTP authorities are matched with them.",
        string("A DNS name, possibly with a wildcard prefix."),
        { minItems: 1, maxItems: 256 },
      ),
    },
    {
      addresses: list(
        "Virtual addresses of the service.",
        string("An IP address or a network in CIDR form.", { maxLength: 64 }),
        {
          maxItems: 256,
        },
      ),
      ports: keyedList("Ports of the service.", ServicePort, ["name"], { maxItems: 256 }),
      location: choice("Whether the service's workloads belong to the mesh. MESH_EXTERNAL unless set.", [
        "MESH_EXTERNAL",
        "MESH_INTERNAL",
      ]),
      resolution: choice("How endpoints are found. NONE (where the caller wants to go) unless set.", [
        "NONE",
        "STATIC",
        "DNS",
        "DNS_ROUND_ROBIN",
        "DYNAMIC_DNS",
      ]),
      endpoints: list("Endpoints of the service.", WorkloadEntrySpec, { maxItems: 4096 }),
      workloadSelector: WorkloadSelector,
      exportTo: list(
        "Namespaces whose callers see the service. All unless set.",
        string("A namespace, . for the object's own, or * for all."),
      ),
      subjectAltNames: list(
        "Names of which the server's certificate must have one.",
        string("A subject alternative name."),
      ),
    },
  ),
);
export type ServiceEntrySpec = Value<typeof ServiceEntrySpec>;

/** Istio's `networking.istio.io/v1.ServiceEntry`. */
export type ServiceEntry = Resource<{ readonly spec: ServiceEntrySpec; readonly status?: IstioStatus }>;

export const serviceEntry: Kind = networkingKind({
  kind: "ServiceEntry",
  plural: "serviceentries",
  shortNames: ["se"],
  description: "A service added to the mesh's registry, such as one outside the clusters.",
  spec: ServiceEntrySpec,
  columns: [
    fieldColumn("Hosts", ["spec", "hosts"], "DNS names of the service."),
    fieldColumn("Location", ["spec", "location"], "Whether the workloads belong to the mesh."),
    fieldColumn("Resolution", ["spec", "resolution"], "How endpoints are found."),
  ],
  validate: (object) => validateServiceEntry(object as ServiceEntry),
  warnings: (object) => serviceEntryWarnings(object as ServiceEntry),
});
