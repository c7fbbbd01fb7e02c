import type { ClusterStanding, StandingCondition } from "#api/weft/cluster.ts";
import { timestamp } from "#base/timestamp.ts";
import type { Failure } from "./failure.ts";

/** What is known of a member. */
export interface MemberFacts {
  /** Why nobody can ask its API, where that is known. */
  readonly noAccess?: { readonly reason: string; readonly message: string };
  /** Whether its API has ever answered. */
  readonly reached: boolean;
  /** Why its API cannot be asked now. */
  readonly failure?: Failure;
  /** Why newer credentials are not used, but those before. */
  readonly kept?: string;
  /** When its credentials end, in milliseconds since the epoch, where that is soon or over. */
  readonly credentialsEnd?: number;
  /** The member that is the same cluster and goes before it. */
  readonly twin?: string;
  /** Kinds that cannot be followed, and why one of them. */
  readonly unfollowed: readonly string[];
  readonly unfollowedWhy?: Failure;
  /** Whether all of it has been read. */
  readonly synced: boolean;
  /** Until when it is led to though it cannot be followed, in milliseconds since the epoch. */
  readonly servedUntil?: number;
  readonly draining: boolean;
  /** Whether callers elsewhere are not led to it, and whether all proxies know. */
  readonly drained: "no" | "begun" | "done";
  /** Members of its network with some of its Pod addresses. */
  readonly overlaps: readonly string[];
  readonly version?: string;
  readonly nodes: number;
  readonly uid?: string;
  readonly podRanges: readonly string[];
}

type Said = Omit<StandingCondition, "type">;

const good = (reason: string, message = ""): Said => ({ ok: true, reason, message });
const bad = (reason: string, message: string): Said => ({ ok: false, reason, message });

function reachable(facts: MemberFacts): Said {
  const { noAccess, failure, kept, credentialsEnd } = facts;
  if (noAccess && !facts.reached) return bad(noAccess.reason, noAccess.message);
  if (failure) return bad(failure.reason, failure.message);
  if (!facts.reached) return bad("Connecting", "its API has not answered yet");
  if (noAccess) return good(noAccess.reason, `${noAccess.message}; the credentials before are still used`);
  if (kept !== undefined) return good("CredentialsNotUsed", `${kept}; the credentials before are still used`);
  if (credentialsEnd !== undefined) {
    return good(
      "CredentialsEndSoon",
      `its credentials end at ${timestamp(credentialsEnd)}: put new ones into the kubeconfig`,
    );
  }
  return good("Reachable");
}

function synced({ twin, unfollowed, unfollowedWhy, ...facts }: MemberFacts): Said {
  if (twin !== undefined) {
    return bad("SameCluster", `it is the cluster ${twin}, which joined before: remove one of the two`);
  }
  if (unfollowedWhy)
    return bad(unfollowedWhy.reason, `${unfollowed.join(", ")} cannot be followed: ${unfollowedWhy.message}`);
  return facts.synced ? good("Synced") : bad("Reading", "not all of it has been read yet");
}

function drained({ drained: state, draining }: MemberFacts): Said {
  if (state === "no") return bad("InUse", "");
  if (!draining)
    return {
      ok: state === "done",
      reason: "Away",
      message: "it could not be followed for longer than spec.unreachableTolerationSeconds",
    };
  return state === "done"
    ? good("Drained")
    : bad("Draining", "not all proxies know yet that it is not called any more");
}

function ready(facts: MemberFacts, aspects: readonly Said[]): Said {
  if (facts.drained !== "no") {
    const why = facts.draining ? "spec.draining is set" : aspects.find(({ ok }) => !ok)?.message;
    const reason = facts.draining ? "Draining" : "Away";
    return bad(reason, `callers in other clusters are not led to it: ${why ?? ""}`);
  }
  const wrong = aspects.find(({ ok }) => !ok);
  if (!wrong) return good("Following");
  const served = facts.synced && facts.servedUntil !== undefined;
  const until = served ? `; its last known endpoints are called until ${timestamp(facts.servedUntil ?? 0)}` : "";
  return bad(wrong.reason, wrong.message + until);
}

function distinct({ overlaps }: MemberFacts): Said {
  if (overlaps.length === 0) return good("Distinct");
  const fix = "give the clusters other ranges, or networks of their own (spec.network)";
  return bad("Overlap", `its Pod addresses overlap with those of ${overlaps.join("; ")}: ${fix}`);
}

/** A member's standing, from what is known of it. */
export function standingOf(facts: MemberFacts): ClusterStanding {
  const [reach, sync] = [reachable(facts), synced(facts)];
  return {
    conditions: [
      { type: "Reachable", ...reach },
      { type: "Synced", ...sync },
      { type: "AddressesDistinct", ...distinct(facts) },
      { type: "Drained", ...drained(facts) },
      { type: "Ready", ...ready(facts, [reach, sync]) },
    ],
    ...(facts.version !== undefined && { version: facts.version }),
    ...(facts.uid !== undefined && { uid: facts.uid }),
    ...(facts.synced && { nodes: facts.nodes, podRanges: facts.podRanges }),
  };
}
