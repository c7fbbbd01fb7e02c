import type { Finding } from "#api/finding.ts";
import type { ParentReference } from "#api/gateway-api/names.ts";
import type { Condition } from "#api/kubernetes/meta.ts";
import type { ResourceObject } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";

/** By this name Weft signs what it writes into statuses of the Gateway API. */
const controllerName = "mesh.weft.dev/gateway-controller";

/** What a controller says of an object for one of its parents. */
interface Entry {
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

/** The members of specifications and statuses that are read here. */
interface Members {
  readonly spec?: {
    readonly parentRefs?: readonly ParentReference[];
    readonly targetRefs?: readonly (ParentReference & { readonly sectionName?: string })[];
  };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly parents?: readonly (Entry & { readonly parentRef: object })[];
    readonly ancestors?: readonly (Entry & { readonly ancestorRef: object })[];
  };
}

/** Conditions with one of them set anew; it keeps its time where its status stays. */
function withCondition(before: readonly Condition[] = [], condition: Condition): readonly Condition[] {
  const same = before.find(({ type, status }) => type === condition.type && status === condition.status);
  const others = before.filter(({ type }) => type !== condition.type);
  return [...others, { ...condition, lastTransitionTime: same?.lastTransitionTime ?? condition.lastTransitionTime }];
}

/** Entries of this controller for each reference, after those of others. */
function entriesFor<Name extends string>(
  name: Name,
  references: readonly object[],
  before: readonly (Entry & Readonly<Record<Name, object>>)[] = [],
  condition: Condition,
): readonly object[] {
  const own = references.map((reference) => {
    const same = before.find(
      (entry) => entry.controllerName === controllerName && canonical(entry[name]) === canonical(reference),
    );
    return { [name]: reference, controllerName, conditions: withCondition(same?.conditions, condition) };
  });
  return [...before.filter((entry) => entry.controllerName !== controllerName), ...own];
}

function statusWith(kind: string, { spec = {}, status = {} }: Members, condition: Condition): object | undefined {
  const { parentRefs = [], targetRefs = [] } = spec;
  switch (kind) {
    case "GatewayClass":
    case "Gateway":
    case "ListenerSet":
      return { conditions: withCondition(status.conditions, condition) };
    case "HTTPRoute":
    case "GRPCRoute":
    case "TLSRoute":
    case "TCPRoute":
    case "UDPRoute":
      return { parents: entriesFor("parentRef", parentRefs, status.parents, condition) };
    case "BackendTLSPolicy":
      return { ancestors: entriesFor("ancestorRef", targetRefs, status.ancestors, condition) };
    default:
      // A ReferenceGrant has no status.
      return undefined;
  }
}

/**
 * The members of an object's status that change because of findings, in the forms of the Gateway API; undefined where
 * none does.
 * @param now RFC 3339.
 */
export function gatewayApiStatus(
  object: ResourceObject,
  findings: readonly Finding[],
  now: string,
): object | undefined {
  const [finding] = findings;
  if (finding === undefined) return undefined;
  const members = object as unknown as Members;
  const wanted = statusWith(object.kind, members, {
    type: "Accepted",
    status: "False",
    reason: finding.code,
    message: finding.message,
    observedGeneration: object.metadata.generation,
    lastTransitionTime: now,
  });
  const same = wanted === undefined || canonical({ ...members.status, ...wanted }) === canonical(members.status);
  return same ? undefined : wanted;
}
