import type { ResourceObject } from "#api/meta.ts";
import { valueAt } from "#api/columns.ts";
import { forbidden } from "../status.ts";
import type { TokenOrder } from "../tokens/service-account-tokens.ts";
import { group, type User } from "../user.ts";

/** What Kubernetes calls the user that a node's agent is. */
const nodePrefix = "system:node:";

/** The account of node agents towards the mesh's control plane: its tokens are bound to their Node. */
const agentAccount = { namespace: "istio-system", name: "weft-agent" } as const;

/** The name of the node whose agent a user is; undefined for everybody else. */
export function nodeOf(user: User): string | undefined {
  if (!user.groups.includes(group.nodes) || !user.name.startsWith(nodePrefix)) return undefined;
  return user.name.slice(nodePrefix.length);
}

const accounts = { group: "", plural: "serviceaccounts" } as const;

/**
 * What tokens a node's agent may ask for: those of accounts of Pods on its node, bound to such a Pod, and its own towards
 * the mesh's control plane, bound to its Node. Others are limited by their roles alone.
 * @throws ApiError `Forbidden`.
 */
export function limitTokenRequest(user: User, account: ResourceObject, bound: TokenOrder["bound"]): void {
  const node = nodeOf(user);
  if (node === undefined) return;
  const { namespace, name } = account.metadata;
  const refuse = (problem: string): never => {
    throw forbidden(accounts, name, `node "${node}" ${problem}`);
  };
  if (bound?.kind === "Pod") {
    if (valueAt(bound.object, "spec", "nodeName") === node) return;
    refuse("may only request tokens for pods that run on it");
  }
  const own = namespace === agentAccount.namespace && name === agentAccount.name;
  if (own && bound?.kind === "Node" && bound.object.metadata.name === node) return;
  refuse("may only request tokens bound to a pod on it, or for its own agent bound to itself");
}
