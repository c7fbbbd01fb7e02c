import { equal } from "#base/canonical.ts";
import { valueAt } from "#api/columns.ts";
import { resourceName, type Kind } from "#api/kind.ts";
import type { ResourceObject, StringMap } from "#api/meta.ts";
import { ownValue } from "#api/record.ts";
import { forbidden } from "../status.ts";
import type { TokenOrder } from "../tokens/service-account-tokens.ts";
import { group, type User } from "../user.ts";

/** What Kubernetes calls the user that a node's agent is. */
const nodePrefix = "system:node:";

/** The account of node agents towards the mesh's control plane: its tokens are bound to their Node. */
export const agentAccount = { namespace: "istio-system", name: "weft-agent" } as const;

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

/** The one label of a Pod that its node's agent writes: that its sidecar speaks mutual TLS. Istio's. */
const tlsModeLabel = "security.istio.io/tlsMode";

/** Labels that administrators keep from nodes, as Kubernetes' NodeRestriction. */
const restrictedLabel = /^(?:[^/]+\.)?node-restriction\.kubernetes\.io\//;

/** Labels, or annotations, that a change gave another value, took or added. */
function changed(after: StringMap = {}, before: StringMap = {}): readonly string[] {
  const names = new Set([...Object.keys(after), ...Object.keys(before)]);
  return [...names].filter((name) => ownValue(after, name) !== ownValue(before, name));
}

/** What of a Pod a node leaves as it is. */
function kept({ metadata, ...pod }: ResourceObject): unknown {
  const { annotations, finalizers, ownerReferences } = metadata;
  return { ...pod, status: undefined, annotations, finalizers, ownerReferences };
}

/** What of a Pod a node may not have changed; undefined when all is well. */
function podProblem(after: ResourceObject, before: ResourceObject): string | undefined {
  const labels = changed(after.metadata.labels, before.metadata.labels).filter((name) => name !== tlsModeLabel);
  if (labels.length > 0) return `may not change the labels ${labels.join(", ")}`;
  if (equal(kept(after), kept(before))) return undefined;
  return `may only change a pod's status and its label ${tlsModeLabel}`;
}

function taintsOf(node: ResourceObject): unknown {
  return valueAt(node, "spec", "taints") ?? [];
}

function nodeProblem(after: ResourceObject, before: ResourceObject | undefined): string | undefined {
  const labels = changed(after.metadata.labels, before?.metadata.labels).filter((name) => restrictedLabel.test(name));
  if (labels.length > 0) return `may not change the labels ${labels.join(", ")}`;
  if (before === undefined) return undefined;
  return equal(taintsOf(after), taintsOf(before)) ? undefined : "may not change taints";
}

/**
 * What a node's agent may write, beyond which objects: of its Pods the status and one label, of its Node neither taints nor
 * restricted labels. As Kubernetes' NodeRestriction.
 * @throws ApiError `Forbidden`.
 */
export function limitNodeWrite(
  user: User,
  kind: Kind,
  after: ResourceObject,
  before: ResourceObject | undefined,
): void {
  const node = nodeOf(user);
  if (node === undefined) return;
  const { name } = after.metadata;
  const refuse = (problem: string | undefined): void => {
    if (problem !== undefined) throw forbidden(kind, name, `node "${node}" ${problem}`);
  };
  switch (resourceName(kind)) {
    case "pods":
      return refuse(before === undefined ? "may not create pods" : podProblem(after, before));
    case "nodes":
      return refuse(name === node ? nodeProblem(after, before) : "is not allowed to modify another node");
    default:
      return undefined;
  }
}
