import { clusterRoleBinding, rbacGroup } from "#api/kubernetes/rbac.ts";
import { codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";

/** Lets the control plane write the mesh's Istio objects, which it may not where no member's own are kept the same. */
export async function allowSync(mesh: Client): Promise<void> {
  const { discoveryUser } = await import("#apiserver/authorization/control-plane-rights.ts");
  const { crdSyncRole } = await import("#apiserver/authorization/default-roles.ts");
  const subjects = [{ apiGroup: rbacGroup, kind: "User", name: discoveryUser }];
  const roleRef = { apiGroup: rbacGroup, kind: "ClusterRole", name: crdSyncRole };
  try {
    await mesh.of(clusterRoleBinding).create({ metadata: { name: crdSyncRole }, roleRef, subjects });
  } catch (error) {
    if (codeOf(error) !== "AlreadyExists") throw error;
  }
}
