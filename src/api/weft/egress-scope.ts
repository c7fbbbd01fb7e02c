import { ageColumn, fieldColumn } from "../columns.ts";
import { duplicate, FieldPath, invalid } from "../field.ts";
import { wildcardDomainProblem } from "../istio/names.ts";
import type { FieldError, Kind } from "../kind.ts";
import type { Resource, ResourceObject } from "../meta.ts";
import { definition, list, object, string, time, type Value } from "../schema.ts";
import { discoveryField } from "./discovery-mode.ts";
import { weftKind, weftName } from "./kind.ts";

/** Hosts that one object may have; a workload that calls more gets everything. */
export const mostScopeHosts = 1000;

const ScopeHost = object(
  "A host that the workload calls.",
  {
    host: string("Its full name, or a wildcard such as *.shop.svc.cluster.local.", { minLength: 1, maxLength: 253 }),
  },
  { firstUsed: time("When a proxy first asked for it; absent where a user wrote it.") },
);

const EgressScopeSpec = definition(
  weftName("EgressScopeSpec"),
  object(
    "What proxies of the workload hold from their start.",
    {
      hosts: list("Hosts that it calls. The control plane adds those that proxies ask for.", ScopeHost, {
        default: [],
        maxItems: mostScopeHosts,
      }),
    },
    { discovery: discoveryField },
    { default: {} },
  ),
);

/** What proxies of a workload hold from their start. */
export type EgressScopeSpec = Value<typeof EgressScopeSpec>;

/** Weft's `mesh.weft.dev/v1alpha1.EgressScope`. Its name is a workload's, a Deployment's for instance, in its namespace. */
export type EgressScope = Resource<{ readonly spec: EgressScopeSpec }>;

function* validateEgressScope({ spec }: EgressScope): Generator<FieldError> {
  const path = FieldPath.root.field("spec", "hosts");
  const hosts = spec.hosts.map(({ host }) => host);
  for (const [index, host] of hosts.entries()) {
    const at = path.item(index).field("host");
    const problem = wildcardDomainProblem(host);
    if (problem !== undefined) yield invalid(at, host, problem);
    if (hosts.indexOf(host) !== index) yield duplicate(at, host);
  }
}

const description = "The hosts that a workload calls: all that its proxies hold where discovery is OnDemand.";

export const egressScope: Kind = {
  ...weftKind({
    kind: "EgressScope",
    plural: "egressscopes",
    shortNames: ["egs"],
    description,
    schema: object(description, { spec: EgressScopeSpec }, {}),
    columns: [
      fieldColumn(
        "Discovery",
        ["spec", "discovery"],
        "What the object says of its workload; empty where it says nothing.",
      ),
      {
        name: "Hosts",
        type: "integer",
        description: "How many hosts it has.",
        cell: (scope: ResourceObject) => (scope as unknown as EgressScope).spec.hosts.length,
      },
      ageColumn,
    ],
    validate: (scope) => [...validateEgressScope(scope as unknown as EgressScope)],
  }),
  namespaced: true,
  status: false,
};
