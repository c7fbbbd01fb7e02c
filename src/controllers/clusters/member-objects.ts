import type { KindRef } from "#kube/client.ts";
import { memberGroups } from "#api/member-api.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import {
  type PolicyRule,
  clusterRole,
  clusterRoleBinding,
  rbacGroup,
  role,
  roleBinding,
} from "#api/kubernetes/rbac.ts";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";

/** Where the control plane's account lives in members: Istio's namespace. */
export const memberNamespace = "istio-system";
/** The name of the account, its role and its binding. */
export const memberAccount = "weft-control-plane";
/** The Secret of the account's token. */
export const memberToken = "weft-control-plane-token";

/** Labels of what a join makes in a member; the second says by what name the cluster joined. */
export const managedBy = "app.kubernetes.io/managed-by";
export const clusterLabel = "mesh.weft.dev/cluster";
/** The label that tells meshes apart: the UID of the mesh's own root namespace. */
export const meshLabel = "mesh.weft.dev/mesh";

/** By what name a cluster joins, and which mesh. */
export interface JoinName {
  readonly cluster: string;
  readonly mesh: string;
  /** Whether it has Istio objects of its own that are kept the same as the mesh's. */
  readonly synced?: boolean;
}

const read = ["get", "list", "watch"];

/**
 * All that the control plane does in a member: it reads services, where they run and the certificates that gateways name, has callers'
 * tokens and service accounts checked, keeps the mesh's roots in each namespace and in the webhooks that ask it, tells Pods of what their proxies did, and asks by
 * annotations of Pods for other Envoys.
 */
export const controlPlaneRules: readonly PolicyRule[] = [
  { verbs: read, apiGroups: [""], resources: ["services", "pods", "nodes", "namespaces", "secrets"] },
  { verbs: ["get"], apiGroups: [""], resources: ["serviceaccounts"] },
  { verbs: read, apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"] },
  { verbs: [...read, "create", "patch"], apiGroups: [""], resources: ["configmaps"] },
  { verbs: ["create", "patch"], apiGroups: [""], resources: ["events"] },
  { verbs: ["patch"], apiGroups: [""], resources: ["pods"] },
  {
    verbs: [...read, "patch"],
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
  },
  { verbs: ["create"], apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"] },
  { verbs: ["create"], apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"] },
  { verbs: ["get"], nonResourceURLs: ["/version", "/.well-known/openid-configuration", "/openid/v1/jwks"] },
];

/**
 * What it does in the mesh's namespace alone: it finds out whether the cluster asks its validating webhook, by an object that is made for
 * nothing (`dryRun`) and refused.
 */
const ownRules: readonly PolicyRule[] = [
  { verbs: ["create"], apiGroups: ["networking.istio.io"], resources: ["gateways"] },
];

/** What it does beside that where Istio's objects of the member are kept the same as the mesh's. */
const syncRules: readonly PolicyRule[] = [
  { verbs: [...read, "create", "update", "delete"], apiGroups: memberGroups, resources: ["*"] },
  { verbs: ["get"], apiGroups: ["apiextensions.k8s.io"], resources: ["customresourcedefinitions"] },
];

/** An object that a join makes in a member. */
export interface MemberObject {
  readonly kind: KindRef;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  /** All that is not metadata. */
  readonly content: Readonly<Record<string, unknown>>;
}

/** What a join makes in the cluster that joins, in this order. */
export function memberObjects({ cluster, mesh, synced = false }: JoinName): readonly MemberObject[] {
  const labels = { [managedBy]: "weft", [clusterLabel]: cluster, [meshLabel]: mesh };
  const own = { name: memberAccount, labels };
  const inNamespace = { ...own, namespace: memberNamespace };
  const subject = { kind: "ServiceAccount", name: memberAccount, namespace: memberNamespace };
  const roleRef = { apiGroup: rbacGroup, kind: "ClusterRole", name: memberAccount };
  const annotations = { "kubernetes.io/service-account.name": memberAccount };
  return [
    { kind: namespaceKind, metadata: { name: memberNamespace, labels }, content: {} },
    { kind: serviceAccount, metadata: inNamespace, content: {} },
    {
      kind: clusterRole,
      metadata: own,
      content: { rules: synced ? [...controlPlaneRules, ...syncRules] : controlPlaneRules },
    },
    { kind: clusterRoleBinding, metadata: own, content: { roleRef, subjects: [subject] } },
    { kind: role, metadata: inNamespace, content: { rules: ownRules } },
    {
      kind: roleBinding,
      metadata: inNamespace,
      content: { roleRef: { ...roleRef, kind: "Role" }, subjects: [subject] },
    },
    {
      kind: secretKind,
      metadata: { ...inNamespace, name: memberToken, annotations },
      content: { type: "kubernetes.io/service-account-token" },
    },
  ];
}
