import { memberGroups } from "#api/member-api.ts";
import { rbacGroup, type PolicyRule, type Subject } from "#api/kubernetes/rbac.ts";
import type { Context } from "../context.ts";
import { group } from "../user.ts";
import { discoveryUser } from "./control-plane-rights.ts";
import { reconcileBinding, reconcileRole, type WantedBinding, type WantedRole } from "./reconciliation.ts";

const read = ["get", "list", "watch"];
const write = ["create", "delete", "deletecollection", "patch", "update"];
const istio = ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"];
const routing = [...istio, "gateway.networking.k8s.io"];

function rule(verbs: readonly string[], apiGroups: readonly string[], resources: readonly string[]): PolicyRule {
  return { verbs: [...verbs], apiGroups: [...apiGroups], resources: [...resources] };
}

function paths(nonResourceURLs: readonly string[]): PolicyRule {
  return { verbs: ["get"], nonResourceURLs: [...nonResourceURLs] };
}

/** A role that Kubernetes or Weft comes with. */
interface DefaultRole {
  readonly rules: readonly PolicyRule[];
  /** Rules of earlier versions that it has no more. */
  readonly withdrawn?: readonly PolicyRule[];
  /** Role that its rules become part of. */
  readonly partOf?: "admin" | "edit" | "view";
  /** Made of the roles that are part of it. */
  readonly aggregated?: boolean;
  /** Who has it everywhere. */
  readonly subjects?: readonly { readonly kind: "User" | "Group"; readonly name: string }[];
}

const controlPlane = [{ kind: "User", name: discoveryUser }] as const;
const authenticated = [{ kind: "Group", name: group.authenticated }] as const;

const health = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

const viewed: readonly PolicyRule[] = [
  rule(read, [""], ["configmaps", "events", "namespaces", "pods", "pods/log", "pods/status"]),
  rule(read, [""], ["serviceaccounts", "services", "services/status"]),
  rule(read, ["apps"], ["deployments", "deployments/scale", "deployments/status", "replicasets"]),
  rule(read, ["apps"], ["replicasets/scale", "replicasets/status"]),
  rule(read, ["discovery.k8s.io"], ["endpointslices"]),
  rule(["get"], [""], ["configmaps/history", "services/history"]),
  rule(["get"], ["apps"], ["deployments/history"]),
  rule(read, [...routing, "mesh.weft.dev", "status.mesh.weft.dev"], ["*"]),
];

const edited: readonly PolicyRule[] = [
  rule(read, [""], ["secrets", "pods/proxy"]),
  rule(write, [""], ["configmaps", "events", "pods", "pods/proxy", "secrets", "serviceaccounts", "services"]),
  rule(["create"], [""], ["pods/eviction", "serviceaccounts/token"]),
  rule(["impersonate"], [""], ["serviceaccounts"]),
  rule(write, ["apps"], ["deployments", "deployments/scale", "replicasets", "replicasets/scale"]),
  rule(write, routing, ["*"]),
  rule(write, ["mesh.weft.dev"], ["egressscopes"]),
];

const administered: readonly PolicyRule[] = [
  rule([...read, ...write], [rbacGroup], ["rolebindings", "roles"]),
  rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews"]),
];

/** What the mesh's control plane reads and writes; `control-plane-rights.ts` has what a role cannot say. */
const discovery: readonly PolicyRule[] = [
  rule(read, [""], ["configmaps", "namespaces", "nodes", "pods", "secrets", "services"]),
  rule(["get"], [""], ["serviceaccounts"]),
  rule(read, ["discovery.k8s.io"], ["endpointslices"]),
  rule(read, [...routing, "mesh.weft.dev"], ["*"]),
  rule(["patch", "update"], [...routing, "mesh.weft.dev"], ["*/status"]),
  rule(["create", "update", "delete"], ["mesh.weft.dev"], ["egressscopes"]),
  rule(["patch"], ["mesh.weft.dev"], ["rootrotations"]),
  rule(["create", "patch"], [""], ["events"]),
  // Sidecars are asked for another Envoy by annotations of their Pods.
  rule(["patch"], [""], ["pods"]),
  rule(["create", "update", "patch"], [""], ["configmaps"]),
  rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
  rule(["create"], ["authorization.k8s.io"], ["subjectaccessreviews"]),
  paths(["/.well-known/openid-configuration", "/openid/v1/jwks"]),
];

/** What it writes beside that where members' own objects are kept the same as the mesh's; nobody has it unless bound. */
const crdSync: readonly PolicyRule[] = [
  rule(["create", "update", "delete"], istio, ["*"]),
  rule(["create"], [""], ["namespaces"]),
  rule(["delete"], [""], ["configmaps"]),
];
/** The role that says so. */
export const crdSyncRole = "weft-crd-sync";

/** What an agent reads and writes of its own node; it gets this from the node's identity, not by a binding. */
const node: readonly PolicyRule[] = [
  rule([...read, "create", "update", "patch"], [""], ["nodes"]),
  rule(["get", "update", "patch"], [""], ["nodes/status", "pods/status"]),
  rule([...read, "update", "patch", "delete"], [""], ["pods"]),
  rule(["get"], [""], ["configmaps", "namespaces", "secrets"]),
  rule(["create", "update", "patch"], [""], ["events"]),
  rule(["create"], [""], ["serviceaccounts/token"]),
  rule(["get", "create", "update", "patch", "delete"], ["coordination.k8s.io"], ["leases"]),
];

/** The roles by name. Those of Kubernetes have its names and, for the kinds served here, its rules. */
const roles: Readonly<Record<string, DefaultRole>> = {
  "cluster-admin": {
    rules: [rule(["*"], ["*"], ["*"]), { verbs: ["*"], nonResourceURLs: ["*"] }],
    subjects: [{ kind: "Group", name: group.masters }],
  },
  admin: { rules: [], aggregated: true },
  edit: { rules: [], aggregated: true, partOf: "admin" },
  view: { rules: [], aggregated: true, partOf: "edit" },
  "system:aggregate-to-admin": { rules: administered, partOf: "admin" },
  "system:aggregate-to-edit": { rules: edited, partOf: "edit" },
  "system:aggregate-to-view": { rules: viewed, partOf: "view" },
  "system:discovery": {
    rules: [paths(["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", ...health])],
    subjects: authenticated,
  },
  "system:public-info-viewer": {
    rules: [paths(health)],
    subjects: [...authenticated, { kind: "Group", name: group.unauthenticated }],
  },
  "system:basic-user": {
    rules: [
      rule(["create"], ["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
      rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
    ],
    subjects: authenticated,
  },
  "system:service-account-issuer-discovery": {
    rules: [paths(["/.well-known/openid-configuration", "/openid/v1/jwks"])],
    subjects: [{ kind: "Group", name: group.serviceAccounts }],
  },
  "system:auth-delegator": {
    rules: [
      rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
      rule(["create"], ["authorization.k8s.io"], ["subjectaccessreviews"]),
    ],
  },
  "system:node": { rules: node },
  "weft-discovery": {
    rules: discovery,
    withdrawn: [rule(["get"], [""], ["pods/proxy"])],
    subjects: controlPlane,
  },
  [crdSyncRole]: { rules: crdSync },
};

/** What users of member clusters may do with the mesh's objects, beside what the roles of their own cluster say. */
const members: DefaultRole = {
  rules: [rule(["*"], [...memberGroups], ["*"])],
  subjects: [{ kind: "Group", name: group.members }],
};

const labels = { "kubernetes.io/bootstrapping": "rbac-defaults" };

function partLabel(name: string): string {
  return `rbac.authorization.k8s.io/aggregate-to-${name}`;
}

function wantedRole(name: string, { rules, withdrawn, partOf, aggregated = false }: DefaultRole): WantedRole {
  const part = partOf !== undefined && { [partLabel(partOf)]: "true" };
  const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { [partLabel(name)]: "true" } }] };
  return {
    metadata: { name, labels: { ...labels, ...part } },
    rules,
    ...(withdrawn && { withdrawn }),
    ...(aggregated && { aggregationRule }),
  };
}

/** A binding of the name of its role. */
function wantedBinding(
  kind: "ClusterRole" | "Role",
  metadata: WantedBinding["metadata"],
  subjects: NonNullable<DefaultRole["subjects"]>,
): WantedBinding {
  const complete = subjects.map((subject): Subject => ({ ...subject, apiGroup: rbacGroup }));
  return { metadata, roleRef: { apiGroup: rbacGroup, kind, name: metadata.name }, subjects: complete };
}

/** Where the mesh's authority keeps its key, which the control plane makes. */
const rootNamespace = "istio-system";

/** Rights of the control plane in the root namespace alone. */
const discoveryInRoot: readonly PolicyRule[] = [
  rule(["create", "update", "patch", "delete"], [""], ["secrets"]),
  // Of revisions that were removed.
  rule(["delete"], [""], ["configmaps"]),
  rule([...read, "create", "update", "patch", "delete"], ["coordination.k8s.io"], ["leases"]),
];

async function ensureRootRole(context: Context): Promise<void> {
  const key = { partition: context.partition, resource: "namespaces", namespace: "", name: rootNamespace };
  if ((await context.store.get(key)) === undefined) return;
  const metadata = { name: "weft-discovery", namespace: rootNamespace, labels };
  await reconcileRole(context, "Role", { metadata, rules: discoveryInRoot });
  await reconcileBinding(context, "RoleBinding", wantedBinding("Role", metadata, controlPlane));
}

/**
 * Makes the default roles and their bindings, or gives those of an earlier version what they lack. A binding that was taken away
 * stays away until the next start.
 */
export async function ensureDefaultRoles(context: Context): Promise<void> {
  for (const [name, role] of Object.entries(roles)) await ensureRole(context, name, role);
  await ensureRootRole(context);
}

/** Makes the role by which the mesh lets users of member clusters do what their own cluster allows them, as the default roles. */
export async function ensureMemberRole(context: Context): Promise<void> {
  await ensureRole(context, "weft-members", members);
}

async function ensureRole(context: Context, name: string, role: DefaultRole): Promise<void> {
  await reconcileRole(context, "ClusterRole", wantedRole(name, role));
  const binding = role.subjects && wantedBinding("ClusterRole", { name, labels }, role.subjects);
  if (binding) await reconcileBinding(context, "ClusterRoleBinding", binding);
}
