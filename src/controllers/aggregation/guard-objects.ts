import { memberNamespace } from "#api/member-api.ts";
import { rbacGroup } from "#api/kubernetes/rbac.ts";
import type { MemberObject } from "./objects.ts";
import { memberLabels } from "./objects.ts";

const name = "weft-guard";

const clusterRules = [
  { apiGroups: [""], resources: ["namespaces"], verbs: ["get", "list", "watch"] },
  { apiGroups: [""], resources: ["namespaces/finalize"], verbs: ["update"] },
  { apiGroups: ["apiregistration.k8s.io"], resources: ["apiservices"], verbs: ["get"] },
];

const rules = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["create", "patch"] }];

function metadata(namespace?: string): MemberObject["metadata"] {
  return { name, ...(namespace === undefined ? {} : { namespace }), labels: memberLabels };
}

function binding(kind: "RoleBinding" | "ClusterRoleBinding", role: string, namespace?: string): MemberObject {
  return {
    apiVersion: `${rbacGroup}/v1`,
    kind,
    metadata: metadata(namespace),
    roleRef: { apiGroup: rbacGroup, kind: role, name },
    subjects: [{ kind: "ServiceAccount", namespace: memberNamespace, name }],
  };
}

function deployment(image: string): MemberObject {
  const selector = { "app.kubernetes.io/name": name };
  const container = {
    name: "guard",
    image,
    imagePullPolicy: "IfNotPresent",
    command: ["weft", "guard", "--api", "in-cluster"],
    resources: { requests: { cpu: "10m", memory: "96Mi" }, limits: { memory: "256Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      runAsUser: 65_532,
      capabilities: { drop: ["ALL"] },
    },
  };
  const template = {
    metadata: { labels: { ...memberLabels, ...selector, "sidecar.istio.io/inject": "false" } },
    spec: { serviceAccountName: name, containers: [container] },
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: metadata(memberNamespace),
    spec: { replicas: 1, selector: { matchLabels: selector }, template },
  };
}

/**
 * The guard of a member's namespaces as a Deployment, with the rights that it needs, in the order in which they are to be made.
 * @param image has `weft` in its path.
 */
export function guardObjects(image: string): readonly MemberObject[] {
  const rbac = `${rbacGroup}/v1`;
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: metadata(memberNamespace) },
    { apiVersion: rbac, kind: "ClusterRole", metadata: metadata(), rules: clusterRules },
    binding("ClusterRoleBinding", "ClusterRole"),
    { apiVersion: rbac, kind: "Role", metadata: metadata(memberNamespace), rules },
    binding("RoleBinding", "Role", memberNamespace),
    deployment(image),
  ];
}
