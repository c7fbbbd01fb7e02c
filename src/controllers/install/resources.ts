import { configMap } from "#api/kubernetes/config-map.ts";
import { deployment } from "#api/kubernetes/deployment.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { clusterRole, clusterRoleBinding, role, roleBinding } from "#api/kubernetes/rbac.ts";
import { secret } from "#api/kubernetes/secret.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { service } from "#api/kubernetes/service.ts";
import { WeftError } from "#base/errors.ts";
import type { KindRef } from "#kube/client.ts";
import type { InstallObject } from "./object.ts";

function ref(group: string, kind: string, plural: string, namespaced: boolean): KindRef {
  return { group, kind, plural, namespaced, versions: [{ name: "v1" }] };
}

const admission = "admissionregistration.k8s.io";

/** What has Istio's objects checked. */
export const validatingKind = ref(
  admission,
  "ValidatingWebhookConfiguration",
  "validatingwebhookconfigurations",
  false,
);
/** What has Pods injected. */
export const mutatingKind = ref(admission, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false);

/** Groups of APIs that are served by the mesh. */
export const apiService = ref("apiregistration.k8s.io", "APIService", "apiservices", false);

/** Definitions of kinds that the cluster keeps by itself. */
export const definitionKind = ref(
  "apiextensions.k8s.io",
  "CustomResourceDefinition",
  "customresourcedefinitions",
  false,
);

/**
 * Kinds of what an installation makes, in the order in which it is removed: first what leads the cluster to the control plane, last what
 * the control plane cannot do without.
 */
export const installKinds: readonly KindRef[] = [
  mutatingKind,
  validatingKind,
  apiService,
  ref("policy", "PodDisruptionBudget", "poddisruptionbudgets", true),
  deployment,
  service,
  endpointSlice,
  ref("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
  secret,
  configMap,
  roleBinding,
  role,
  clusterRoleBinding,
  clusterRole,
  serviceAccount,
];

/** The kind of an object that an installation makes. */
export function kindOfObject({ apiVersion, kind, metadata }: InstallObject): KindRef {
  const found = [...installKinds, namespace].find((one) => one.kind === kind);
  if (found) return found;
  throw new WeftError(
    "Internal",
    `${kind} ${metadata.name} (${apiVersion}) is of a kind that installations do not have`,
  );
}
