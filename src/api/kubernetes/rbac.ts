import type { Column, FieldError, Kind } from "../kind.ts";
import { ageColumn } from "../columns.ts";
import { FieldPath, forbidden, invalid, notSupported, required } from "../field.ts";
import type { Resource, ResourceObject } from "../meta.ts";
import { definition, described, list, object, string, type Value } from "../schema.ts";
import { equal } from "#base/canonical.ts";
import { kubernetesKind } from "./kind.ts";
import { LabelSelector } from "./meta.ts";
import { validateLabelSelector } from "./selector-validation.ts";

/** The group of roles and their bindings. */
export const rbacGroup = "rbac.authorization.k8s.io";

function rbacName(type: string): string {
  return `io.k8s.api.rbac.v1.${type}`;
}

const texts = string("A name, or * for all.");

const PolicyRule = definition(
  rbacName("PolicyRule"),
  object(
    "What may be done with what.",
    { verbs: list("Verbs, such as get; * means all.", texts) },
    {
      apiGroups: list('Groups of the resources; "" is the core group, * means all.', texts),
      resources: list("Resources, such as pods or pods/log; * means all.", texts),
      resourceNames: list("Names of the objects; all when empty.", string("A name.")),
      nonResourceURLs: list("Paths that are no resources; * may stand at their end.", string("A path.")),
    },
  ),
);
/** Kubernetes' `rbac/v1.PolicyRule`. */
export type PolicyRule = Value<typeof PolicyRule>;

const RoleRef = definition(
  rbacName("RoleRef"),
  object(
    "The role that is given. It cannot be changed.",
    {
      apiGroup: string("Always rbac.authorization.k8s.io.", { default: rbacGroup }),
      kind: string("Role or ClusterRole."),
      name: string("The role's name."),
    },
    {},
    { atomic: true },
  ),
);
/** Kubernetes' `rbac/v1.RoleRef`. */
export type RoleRef = Value<typeof RoleRef>;

const Subject = definition(
  rbacName("Subject"),
  object(
    "Who gets the role.",
    { kind: string("User, Group or ServiceAccount."), name: string("The user's, group's or account's name.") },
    {
      apiGroup: string("rbac.authorization.k8s.io for users and groups, empty for accounts."),
      namespace: string("The account's namespace."),
    },
    { atomic: true },
  ),
);
/** Kubernetes' `rbac/v1.Subject`. */
export type Subject = Value<typeof Subject>;

const rules = list("What may be done.", PolicyRule);
const subjects = list("Who gets the role.", Subject);

const AggregationRule = object(
  "Rules are put together from other ClusterRoles.",
  {},
  { clusterRoleSelectors: list("Labels of those ClusterRoles; one that fits is enough.", LabelSelector) },
);

const roleText = "Rights in one namespace.";
const roleSchema = object(roleText, {}, { rules });

const clusterRoleText = "Rights in all namespaces and beyond, or in the namespaces whose RoleBindings name it.";
const clusterRoleSchema = object(
  clusterRoleText,
  {},
  { rules, aggregationRule: described("Puts the rules together by itself.", AggregationRule) },
);
/** Kubernetes' `rbac/v1.ClusterRole`. */
export type ClusterRole = Resource<Value<typeof clusterRoleSchema>>;

const roleBindingText = "Gives a role to users, groups and accounts, in one namespace.";
const bindingSchema = (description: string) => object(description, { roleRef: RoleRef }, { subjects });
const roleBindingSchema = bindingSchema(roleBindingText);
/** Kubernetes' `rbac/v1.RoleBinding` and `rbac/v1.ClusterRoleBinding`. */
export type Binding = Resource<Value<typeof roleBindingSchema>>;

function* validateRule(rule: PolicyRule, path: FieldPath, namespaced: boolean): Generator<FieldError> {
  const { verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  if (verbs.length === 0) yield required(path.field("verbs"), "verbs must contain at least one value");
  if (nonResourceURLs.length > 0) {
    const at = path.field("nonResourceURLs");
    if (namespaced) yield invalid(at, nonResourceURLs, "namespaced rules cannot apply to non-resource URLs");
    if (apiGroups.length > 0 || resources.length > 0 || resourceNames.length > 0) {
      yield invalid(at, nonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs");
    }
    return;
  }
  if (apiGroups.length === 0) {
    yield required(path.field("apiGroups"), "resource rules must supply at least one api group");
  }
  if (resources.length === 0) {
    yield required(path.field("resources"), "resource rules must supply at least one resource");
  }
}

function* validateRules(role: ClusterRole, namespaced: boolean): Generator<FieldError> {
  for (const [index, rule] of (role.rules ?? []).entries()) {
    yield* validateRule(rule, FieldPath.root.field("rules").item(index), namespaced);
  }
  const at = FieldPath.root.field("aggregationRule", "clusterRoleSelectors");
  for (const [index, selector] of (role.aggregationRule?.clusterRoleSelectors ?? []).entries()) {
    yield* validateLabelSelector(selector, at.item(index));
  }
}

function* validateSubject(subject: Subject, path: FieldPath): Generator<FieldError> {
  const { kind, name, apiGroup = "", namespace = "" } = subject;
  if (name === "") yield required(path.field("name"));
  switch (kind) {
    case "ServiceAccount":
      if (namespace === "") yield required(path.field("namespace"));
      if (apiGroup !== "") yield notSupported(path.field("apiGroup"), apiGroup, [""]);
      return;
    case "User":
    case "Group":
      if (apiGroup !== rbacGroup) yield notSupported(path.field("apiGroup"), apiGroup, [rbacGroup]);
      return;
    default:
      yield notSupported(path.field("kind"), kind, ["ServiceAccount", "User", "Group"]);
  }
}

function* validateBinding({ roleRef, subjects = [] }: Binding, roles: readonly string[]): Generator<FieldError> {
  const at = FieldPath.root.field("roleRef");
  if (roleRef.apiGroup !== rbacGroup) yield notSupported(at.field("apiGroup"), roleRef.apiGroup, [rbacGroup]);
  if (!roles.includes(roleRef.kind)) yield notSupported(at.field("kind"), roleRef.kind, roles);
  if (roleRef.name === "") yield required(at.field("name"));
  for (const [index, subject] of subjects.entries()) {
    yield* validateSubject(subject, FieldPath.root.field("subjects").item(index));
  }
}

function validateBindingUpdate(object: ResourceObject, before: ResourceObject): readonly FieldError[] {
  const { roleRef } = object as Binding;
  if (equal(roleRef, (before as Binding).roleRef)) return [];
  return [{ ...forbidden(FieldPath.root.field("roleRef"), ""), message: "Invalid value: cannot change roleRef" }];
}

/** Users and groups are of the group of roles unless told; an account is of the binding's namespace. */
function completeSubjects(object: ResourceObject): ResourceObject {
  const { subjects } = object as Binding;
  if (subjects === undefined) return object;
  const completed = subjects.map((subject) =>
    subject.kind === "ServiceAccount" || (subject.apiGroup ?? "") !== ""
      ? subject
      : { ...subject, apiGroup: rbacGroup },
  );
  return { ...object, subjects: completed };
}

const roleColumn: Column = {
  name: "Role",
  type: "string",
  description: "The role that is given.",
  cell: (object) => {
    const { kind, name } = (object as Binding).roleRef;
    return `${kind}/${name}`;
  },
};

function subjectColumn(name: string, kind: string): Column {
  return {
    name,
    type: "string",
    wide: true,
    description: `Subjects of the kind ${kind}.`,
    cell: (object) =>
      ((object as Binding).subjects ?? [])
        .filter((subject) => subject.kind === kind)
        .map((subject) => (kind === "ServiceAccount" ? `${subject.namespace ?? ""}/${subject.name}` : subject.name))
        .join(", "),
  };
}

const createdColumn: Column = {
  name: "Created At",
  type: "string",
  description: "When it was made.",
  cell: ({ metadata }) => metadata.creationTimestamp,
};

const shared = { group: rbacGroup, shortNames: [], nameForm: "segment", home: "both", status: false } as const;
const bindingColumns = [
  roleColumn,
  ageColumn,
  subjectColumn("Users", "User"),
  subjectColumn("Groups", "Group"),
  subjectColumn("ServiceAccounts", "ServiceAccount"),
];

export const role: Kind = kubernetesKind({
  ...shared,
  kind: "Role",
  plural: "roles",
  description: roleText,
  schema: roleSchema,
  columns: [createdColumn],
  validate: (object) => [...validateRules(object, true)],
});

export const clusterRole: Kind = kubernetesKind({
  ...shared,
  kind: "ClusterRole",
  plural: "clusterroles",
  namespaced: false,
  description: clusterRoleText,
  schema: clusterRoleSchema,
  columns: [createdColumn],
  validate: (object) => [...validateRules(object, false)],
});

export const roleBinding: Kind = kubernetesKind({
  ...shared,
  kind: "RoleBinding",
  plural: "rolebindings",
  description: roleBindingText,
  schema: roleBindingSchema,
  columns: bindingColumns,
  complete: completeSubjects,
  validate: (object) => [...validateBinding(object as Binding, ["Role", "ClusterRole"])],
  validateUpdate: validateBindingUpdate,
});

const clusterRoleBindingText = "Gives a ClusterRole to users, groups and accounts, everywhere.";

export const clusterRoleBinding: Kind = kubernetesKind({
  ...shared,
  kind: "ClusterRoleBinding",
  plural: "clusterrolebindings",
  namespaced: false,
  description: clusterRoleBindingText,
  schema: bindingSchema(clusterRoleBindingText),
  columns: bindingColumns,
  complete: completeSubjects,
  validate: (object) => [...validateBinding(object as Binding, ["ClusterRole"])],
  validateUpdate: validateBindingUpdate,
});
