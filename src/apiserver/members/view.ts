import type { SparingLog } from "#base/sparing-log.ts";
import type { IncomingMessage } from "node:http";
import type { Watches } from "../access.ts";
import type { Proven } from "../authentication/proof.ts";
import type { Context } from "../context.ts";
import type { Limits } from "../limits.ts";
import type { Target } from "../registry/target.ts";
import type { NamespaceState, Member } from "./member.ts";
import type { MemberAuthorizer } from "./member-authorizer.ts";
import type { MissedDepartures } from "./missed.ts";
import type { MeshNamespaces } from "./namespaces.ts";

/** What stands in the context of requests that a member's API server passes on. */
export interface MemberView {
  readonly member: Member;
  readonly namespaces: MeshNamespaces;
  readonly authorizer: MemberAuthorizer;
  readonly watches: Watches;
  readonly limits: Limits;
  /** Namespaces that went while the member could not be asked. */
  readonly missed: MissedDepartures;
  /** Told of requests whose maker is not known. */
  readonly refusals: SparingLog;
  /** Who makes a request. @throws WeftError `Unauthenticated`, or `Unavailable` while it is not known whom to believe. */
  prove(request: IncomingMessage): Proven;
}

/** How the cluster whose view it is has a namespace; always in use where it is no member's. @throws WeftError `Unavailable`. */
export async function namespaceState({ member }: Context, name: string): Promise<NamespaceState> {
  return member === undefined ? "active" : member.namespaces.lately(member.member, name);
}

/**
 * Whether a cluster must take the objects of a namespace as gone with it: it deletes the namespace while another cluster or the mesh
 * itself keeps it, or nobody knows. Its namespace controller, which deletes and lists them, finds nothing then and lets the namespace go; the others
 * keep the objects.
 * @param exact ask the cluster now, rather than go by what it said a moment ago.
 * @throws WeftError `Unavailable`.
 */
export async function leavesBehind({ member: view }: Context, { namespace }: Target, exact: boolean): Promise<boolean> {
  if (view === undefined || namespace === undefined) return false;
  const { member, namespaces } = view;
  const state = await (exact ? namespaces.now(member, namespace) : namespaces.lately(member, namespace));
  // Objects of a namespace that the cluster does not have are others'; deleting all of them there means them.
  if (state !== "terminating") return false;
  return (await namespaces.keptBeside(member.name, namespace)) !== "left";
}
