import { type PolicyRule, rbacGroup } from "#api/kubernetes/rbac.ts";
import { departedConfigMap } from "../aggregation/departed.ts";
import { controlPlaneRules } from "../clusters/member-objects.ts";
import { type InstallObject, clusterObject, ownObject } from "./object.ts";
import { installNames } from "./options.ts";

const rbac = `${rbacGroup}/v1`;

/** What the guard of namespaces may do in the whole cluster. */
const guardRules: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["namespaces"], verbs: ["get", "list", "watch"] },
  { apiGroups: [""], resources: ["namespaces/finalize"], verbs: ["update"] },
  { apiGroups: ["apiregistration.k8s.io"], resources: ["apiservices"], verbs: ["get", "list", "watch"] },
];

/** What it may do in the control plane's namespace: write down which namespaces it let go. */
const departedRules: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["configmaps"], verbs: ["create"] },
  { apiGroups: [""], resources: ["configmaps"], resourceNames: [departedConfigMap.name], verbs: ["get", "patch"] },
];

function account(name: string): InstallObject {
  return ownObject("v1", "ServiceAccount", name, {});
}

function subjectsOf(name: string): object {
  return { subjects: [{ kind: "ServiceAccount", namespace: installNames.namespace, name }] };
}

/** Roles of the whole cluster have its namespace in their names, as Istio's charts do. */
function clusterRoleOf(name: string, rules: readonly PolicyRule[]): readonly InstallObject[] {
  const full = `${name}-${installNames.namespace}`;
  const roleRef = { apiGroup: rbacGroup, kind: "ClusterRole", name: full };
  return [
    clusterObject(rbac, "ClusterRole", full, { rules }),
    clusterObject(rbac, "ClusterRoleBinding", full, { roleRef, ...subjectsOf(name) }),
  ];
}

function roleOf(name: string, rules: readonly PolicyRule[]): readonly InstallObject[] {
  const roleRef = { apiGroup: rbacGroup, kind: "Role", name };
  return [
    ownObject(rbac, "Role", name, { rules }),
    ownObject(rbac, "RoleBinding", name, { roleRef, ...subjectsOf(name) }),
  ];
}

/**
 * An account for each part, with what it does in the cluster and nothing else. The server's roles come with the objects by which the
 * cluster serves the mesh's API.
 */
export function accessObjects(): readonly InstallObject[] {
  const { server, discovery, guard } = installNames;
  return [
    account(server),
    account(discovery),
    account(guard),
    ...clusterRoleOf(discovery, controlPlaneRules),
    ...clusterRoleOf(guard, guardRules),
    ...roleOf(guard, departedRules),
  ];
}
