import { WeftError } from "#base/errors.ts";
import type { Caller, ServiceAccountName } from "./caller.ts";
import { type Identity, isOwn, parseSpiffeId, type TrustDomains } from "./spiffe.ts";

/** A Pod, as far as identities need it. */
export interface PodRecord {
  readonly uid: string;
  readonly serviceAccount: string;
  readonly node: string;
}

/** Which Pods there are. Those that have ended are none. */
export interface PodDirectory {
  /** A Pod of a cluster by its name. */
  pod(cluster: string, namespace: string, name: string): PodRecord | undefined;
  /** Whether a Pod of a service account is on a node. */
  runsOn(cluster: string, node: string, account: ServiceAccountName): boolean;
}

/** Service accounts of node agents, which act for the Pods of their node. */
export type NodeAccounts = readonly ServiceAccountName[];

/** Whether a caller is a node's agent. */
function isNodeAgent({ namespace, serviceAccount }: Caller, accounts: NodeAccounts): boolean {
  return accounts.some((account) => account.namespace === namespace && account.name === serviceAccount);
}

/** The place of a node's agent. */
export interface AgentPlace {
  readonly cluster: string;
  readonly node: string;
}

/** Where a caller is a node's agent, proven by its token; undefined for anybody else. */
export function agentPlace(caller: Caller, accounts: NodeAccounts, pods: PodDirectory): AgentPlace | undefined {
  const { cluster, namespace, pod } = caller;
  if (cluster === undefined || !isNodeAgent(caller, accounts)) return undefined;
  const node = caller.node ?? (pod && pods.pod(cluster, namespace, pod.name)?.node);
  return node === undefined || node === "" ? undefined : { cluster, node };
}

/**
 * Refuses a token whose Pod is gone, or is another one of that name by now.
 * @throws WeftError `Unauthenticated`.
 */
export function checkBound({ cluster, namespace, serviceAccount, pod }: Caller, pods: PodDirectory): void {
  if (cluster === undefined || !pod) return;
  const found = pods.pod(cluster, namespace, pod.name);
  if (found?.uid === pod.uid && found.serviceAccount === serviceAccount) return;
  throw new WeftError("Unauthenticated", "the token is bound to a Pod that is not there");
}

/** What an impersonation is judged by. */
export interface ImpersonationRules {
  readonly accounts: NodeAccounts;
  readonly pods: PodDirectory;
  readonly trustDomains: TrustDomains;
}

/**
 * The identity that a node's agent asks for in place of its own.
 * @param wanted a SPIFFE id.
 * @throws WeftError `InvalidArgument` for what is no id of this mesh; `PermissionDenied` for a caller that is no node's agent,
 * or on whose node no Pod has that identity.
 */
export function impersonated(caller: Caller, wanted: string, rules: ImpersonationRules): Identity {
  const identity = parseSpiffeId(wanted);
  if (!identity || !isOwn(identity, rules.trustDomains)) {
    throw new WeftError("InvalidArgument", "ImpersonatedIdentity is no SPIFFE id of this mesh");
  }
  const place = agentPlace(caller, rules.accounts, rules.pods);
  if (!place) throw new WeftError("PermissionDenied", "the caller is not a node's agent, so it may not act for others");
  const { namespace, serviceAccount: name } = identity;
  if (!rules.pods.runsOn(place.cluster, place.node, { namespace, name })) {
    throw new WeftError("PermissionDenied", "no Pod of that service account runs on the caller's node");
  }
  return { ...identity, trustDomain: rules.trustDomains.own };
}
