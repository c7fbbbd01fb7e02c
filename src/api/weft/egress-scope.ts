import { ageColumn, fieldColumn } from "../columns.ts";
import { duplicate, FieldPath, invalid } from "../field.ts";
import { wildcardDomainProblem } from "../istio/names.ts";
import { IstioStatus } from "../istio/status.ts";
import type { Column, FieldError, Kind } from "../kind.ts";
import type { Resource, ResourceObject } from "../meta.ts";
import { definition, int64, list, object, string, time, type Value } from "../schema.ts";
import { discoveryField } from "./discovery-mode.ts";
import { weftKind, weftName } from "./kind.ts";

/** Hosts that one object may have; a workload that calls more gets everything. */
export const mostScopeHosts = 1000;

const EgressScopeSpec = definition(
  weftName("EgressScopeSpec"),
  object(
    "What proxies of the workload hold from their start, beside what was learned.",
    {
      hosts: list(
        "Hosts that it is declared to call: they are held and never forgotten.",
        object(
          "A host that the workload calls.",
          {
            host: string("Its full name, or a wildcard such as *.shop.svc.cluster.local.", {
              minLength: 1,
              maxLength: 253,
            }),
          },
          {},
        ),
        { default: [], maxItems: mostScopeHosts },
      ),
    },
    { discovery: discoveryField },
    { default: {} },
  ),
);

const LearnedHost = object(
  "A host that the workload was seen to call.",
  {
    host: string("Its full name, or a wildcard that a service has.", { minLength: 1, maxLength: 253 }),
    firstUsed: time("When a proxy first asked for it."),
    lastUsed: time("When it was last seen to be called, to the day where hosts are kept for a month."),
  },
  {},
);

const EgressScopeStatus = definition(
  weftName("EgressScopeStatus"),
  object(
    "What was learned of the workload's calls, and who holds it.",
    {},
    {
      ...IstioStatus.properties,
      proxies: int64("Connected proxies that hold what the workload calls, and not everything."),
      learned: list(
        "Hosts that it was seen to call: they are held, and forgotten when they have not been called for the time that the mesh's forgetCallsAfter says.",
        LearnedHost,
        { maxItems: mostScopeHosts },
      ),
      unknownHosts: list(
        "Those of the hosts, declared or learned, of which nothing in the mesh is.",
        string("A host's name."),
      ),
    },
  ),
);

/** A host that a workload was seen to call. */
export type LearnedHost = Value<typeof LearnedHost>;

/** What was learned of a workload's calls. */
export type EgressScopeStatus = Value<typeof EgressScopeStatus>;

/** Weft's `mesh.weft.dev/v1alpha1.EgressScope`. Its name is a workload's, a Deployment's for instance, in its namespace. */
export type EgressScope = Resource<{
  readonly spec: Value<typeof EgressScopeSpec>;
  readonly status?: EgressScopeStatus;
}>;

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

/** A column of a number that is worked out of the object. */
function countColumn(name: string, description: string, count: (scope: EgressScope) => number): Column {
  return {
    name,
    type: "integer",
    description,
    cell: (scope: ResourceObject) => count(scope as unknown as EgressScope),
  };
}

const description = "The hosts that a workload calls: all that its proxies hold where discovery is OnDemand.";

export const egressScope: Kind = {
  ...weftKind({
    kind: "EgressScope",
    plural: "egressscopes",
    shortNames: ["egs"],
    description,
    schema: object(description, { spec: EgressScopeSpec }, { status: EgressScopeStatus }),
    columns: [
      fieldColumn(
        "Discovery",
        ["spec", "discovery"],
        "What the object says of its workload; empty where it says nothing.",
      ),
      countColumn("Declared", "How many hosts it declares.", ({ spec }) => spec.hosts.length),
      countColumn("Learned", "How many hosts were learned.", ({ status }) => status?.learned?.length ?? 0),
      countColumn("Unknown", "Of how many hosts nothing is there.", ({ status }) => status?.unknownHosts?.length ?? 0),
      countColumn("Proxies", "How many proxies hold these hosts only.", ({ status }) => status?.proxies ?? 0),
      ageColumn,
    ],
    validate: (scope) => [...validateEgressScope(scope as unknown as EgressScope)],
  }),
  namespaced: true,
};
