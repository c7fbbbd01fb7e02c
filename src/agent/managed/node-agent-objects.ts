import { clusterRole, clusterRoleBinding, type PolicyRule, rbacGroup } from "#api/kubernetes/rbac.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { agentAccount } from "../node-token.ts";

const read = ["get", "list", "watch"];

/**
 * All that a node's agent does with its cluster's API: it reads Pods, Namespaces and the mesh's roots, says on Pods how their sidecars stand,
 * and asks for its own token.
 */
const rules: readonly PolicyRule[] = [
  { verbs: read, apiGroups: [""], resources: ["pods", "namespaces"] },
  { verbs: ["get"], apiGroups: [""], resources: ["nodes"] },
  { verbs: ["patch"], apiGroups: [""], resources: ["pods", "pods/status"] },
  { verbs: read, apiGroups: [""], resources: ["configmaps"], resourceNames: ["istio-ca-root-cert"] },
  { verbs: ["create", "patch"], apiGroups: [""], resources: ["events"] },
  { verbs: ["create"], apiGroups: [""], resources: ["serviceaccounts/token"], resourceNames: [agentAccount.name] },
];

/** What the agents of a cluster's nodes act as. */
export function nodeAgentAccount(): readonly object[] {
  const { name, namespace } = agentAccount;
  const apiVersion = `${rbacGroup}/v1`;
  const subjects = [{ kind: "ServiceAccount", name, namespace }];
  const roleRef = { apiGroup: rbacGroup, kind: "ClusterRole", name };
  return [
    { apiVersion: "v1", kind: serviceAccount.kind, metadata: { name, namespace } },
    { apiVersion, kind: clusterRole.kind, metadata: { name }, rules },
    { apiVersion, kind: clusterRoleBinding.kind, metadata: { name }, roleRef, subjects },
  ];
}
