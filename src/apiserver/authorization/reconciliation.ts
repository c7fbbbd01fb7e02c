import { codeOf } from "#base/errors.ts";
import { equal } from "#base/canonical.ts";
import type { StringMap } from "#api/meta.ts";
import { rbacGroup, type Binding, type ClusterRole, type PolicyRule } from "#api/kubernetes/rbac.ts";
import type { Context } from "../context.ts";
import { create } from "../registry/create.ts";
import { remove } from "../registry/delete.ts";
import type { Target } from "../registry/target.ts";
import { getStored, update } from "../registry/update.ts";
import { uncovered } from "./rules.ts";

/** Users who change a default role or binding for good say so by this annotation, with `false`. Kubernetes'. */
const autoUpdate = "rbac.authorization.kubernetes.io/autoupdate";

/** What all default roles and bindings have in their metadata. */
interface DefaultMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels: StringMap;
}

/** A role as this version has it. */
export interface WantedRole {
  readonly metadata: DefaultMetadata;
  readonly rules: readonly PolicyRule[];
  readonly aggregationRule?: ClusterRole["aggregationRule"];
  /** Rules of earlier versions that are not needed any more. */
  readonly withdrawn?: readonly PolicyRule[];
}

/** A binding as this version has it. */
export interface WantedBinding {
  readonly metadata: DefaultMetadata;
  readonly roleRef: Binding["roleRef"];
  readonly subjects: NonNullable<Binding["subjects"]>;
}

const writing = { dryRun: false, fieldValidation: "Strict", warn: () => undefined } as const;

type Metadata = ClusterRole["metadata"];

function isProtected({ annotations }: Metadata): boolean {
  return annotations?.[autoUpdate] === "false";
}

/** Labels and annotations that it lacks; its own stay. */
function completed(current: Metadata, { labels }: DefaultMetadata): Metadata {
  return {
    ...current,
    labels: { ...labels, ...current.labels },
    annotations: { [autoUpdate]: "true", ...current.annotations },
  };
}

/** Those of a list, and of others what it lacks. */
function union<T>(have: readonly T[] = [], wanted: readonly T[] = []): T[] {
  return [...have, ...wanted.filter((one) => !have.some((other) => equal(other, one)))];
}

function targetOf(context: Context, kindName: string, { namespace }: DefaultMetadata): Target | undefined {
  const kind = context.kinds.named(rbacGroup, kindName);
  return kind === undefined ? undefined : { kind, version: kind.versions[0].name, namespace };
}

/** Makes an object; tells whether it was not there. */
async function made(context: Context, target: Target, metadata: DefaultMetadata, body: object): Promise<boolean> {
  const { name, labels } = metadata;
  const object = { metadata: { name, labels, annotations: { [autoUpdate]: "true" } }, ...body };
  try {
    await create(context, target, object, writing);
    return true;
  } catch (error) {
    if (codeOf(error) === "AlreadyExists") return false;
    throw error;
  }
}

/**
 * Makes a default role, or gives one of an earlier version what it lacks: rules, labels, selectors. As Kubernetes' API server does
 * when it starts, what was added to it stays, and so does all of it with the annotation `autoupdate` `false`. Unlike there, rules that
 * only earlier versions needed are taken away where they stand as they were made.
 * @param kindName `ClusterRole`, or `Role` with a namespace.
 */
export async function reconcileRole(
  context: Context,
  kindName: "ClusterRole" | "Role",
  { metadata, rules, aggregationRule, withdrawn = [] }: WantedRole,
): Promise<void> {
  const target = targetOf(context, kindName, metadata);
  if (target === undefined) return;
  if (await made(context, target, metadata, { rules, ...(aggregationRule && { aggregationRule }) })) return;
  const change = (current: object): Readonly<Record<string, unknown>> => {
    const role = current as ClusterRole;
    if (isProtected(role.metadata)) return role;
    const kept = (role.rules ?? []).filter((rule) => !withdrawn.some((one) => equal(one, rule)));
    const clusterRoleSelectors = union(
      role.aggregationRule?.clusterRoleSelectors,
      aggregationRule?.clusterRoleSelectors,
    );
    return {
      ...role,
      metadata: completed(role.metadata, metadata),
      rules: [...kept, ...uncovered(kept, rules)],
      ...(clusterRoleSelectors.length > 0 && { aggregationRule: { clusterRoleSelectors } }),
    };
  };
  await update(context, { target, name: metadata.name, part: "specification", change }, writing);
}

/**
 * Makes a default binding, or gives one that is there the subjects that it lacks, as Kubernetes' API server does. One that gives another role
 * is made anew, since that of a binding cannot be changed.
 * @param kindName `ClusterRoleBinding`, or `RoleBinding` with a namespace.
 */
export async function reconcileBinding(
  context: Context,
  kindName: "ClusterRoleBinding" | "RoleBinding",
  { metadata, roleRef, subjects }: WantedBinding,
): Promise<void> {
  const target = targetOf(context, kindName, metadata);
  if (target === undefined || (await made(context, target, metadata, { roleRef, subjects }))) return;
  const stored = (await getStored(context, target, metadata.name)).object as Binding;
  if (isProtected(stored.metadata)) return;
  if (!equal(stored.roleRef, roleRef)) {
    await remove(context, target, metadata.name, { dryRun: false });
    await made(context, target, metadata, { roleRef, subjects });
    return;
  }
  const change = (current: object): Readonly<Record<string, unknown>> => {
    const binding = current as Binding;
    const { metadata: own } = binding;
    return { ...binding, metadata: completed(own, metadata), subjects: union(binding.subjects, subjects) };
  };
  await update(context, { target, name: metadata.name, part: "specification", change }, writing);
}
