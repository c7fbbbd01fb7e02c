import { equal } from "#base/canonical.ts";
import { rbacGroup, type Binding, type ClusterRole, type PolicyRule } from "#api/kubernetes/rbac.ts";
import { resourceName, type Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { checkOf } from "../authorization/attributes.ts";
import type { Authorizer } from "../authorization/authorizer.ts";
import { limitNodeWrite } from "../authorization/node-restriction.ts";
import { ruleText, uncovered } from "../authorization/rules.ts";
import type { Context } from "../context.ts";
import { forbidden, notFound } from "../status.ts";
import { group, type Author, type User } from "../user.ts";

/** A write that is about to be stored. */
export interface Intent {
  readonly kind: Kind;
  readonly after: ResourceObject;
  /** Absent for a new object. */
  readonly before: ResourceObject | undefined;
  readonly by: Author | undefined;
}

/** Everything, as who puts roles together from others must have it. */
const everything: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

async function checkHeld(
  authorizer: Authorizer,
  user: User,
  { kind, after }: Intent,
  wanted: readonly PolicyRule[],
): Promise<void> {
  const { name, namespace = "" } = after.metadata;
  const { rules } = await authorizer.rbac.rules(user, namespace);
  const missing = uncovered(rules, wanted);
  if (missing.length === 0) return;
  const groups = user.groups.map((one) => JSON.stringify(one)).join(" ");
  const text = missing.map(ruleText).join("\n");
  const problem = `user ${JSON.stringify(user.name)} (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:\n${text}`;
  throw forbidden(kind, name, problem);
}

/** Nobody may write more rights into a role than they have, unless they may `escalate` it. */
async function checkRole(authorizer: Authorizer, user: User, intent: Intent): Promise<void> {
  const { kind, after, before } = intent;
  const { rules = [], aggregationRule } = after as ClusterRole;
  const { name, namespace = "" } = after.metadata;
  const sameRules = equal(before?.["rules"] ?? [], rules);
  const same = sameRules && equal(before?.["aggregationRule"] ?? {}, aggregationRule ?? {});
  if (before !== undefined && same) return;
  const escalate = checkOf({ verb: "escalate", group: rbacGroup, resource: kind.plural, name, namespace });
  if ((await authorizer.authorize(user, escalate)).allowed) return;
  await checkHeld(authorizer, user, intent, aggregationRule === undefined ? rules : everything);
}

/** Nobody may give a role with more rights than they have, unless they may `bind` it. */
async function checkBinding(authorizer: Authorizer, user: User, intent: Intent): Promise<void> {
  const { after, before } = intent;
  const { roleRef, subjects } = after as Binding;
  if (before !== undefined && equal((before as Binding).subjects ?? [], subjects ?? [])) return;
  const { namespace = "" } = after.metadata;
  const resource = roleRef.kind === "Role" ? "roles" : "clusterroles";
  const bind = checkOf({ verb: "bind", group: rbacGroup, resource, name: roleRef.name, namespace });
  if ((await authorizer.authorize(user, bind)).allowed) return;
  const rules = await authorizer.rbac.rulesOf(roleRef, namespace);
  if (rules === undefined) throw notFound({ group: rbacGroup, plural: resource }, roleRef.name);
  await checkHeld(authorizer, user, intent, rules);
}

/**
 * Checks what roles alone cannot say of a write: nobody gives rights that they do not have, and nodes write only what is
 * theirs.
 * @throws ApiError `Forbidden`.
 */
export async function checkRights({ access }: Context, intent: Intent): Promise<void> {
  const { kind, after, before, by } = intent;
  if (access === undefined || by === undefined || by.user.groups.includes(group.masters)) return;
  limitNodeWrite(by.user, kind, after, before);
  switch (resourceName(kind)) {
    case `roles.${rbacGroup}`:
    case `clusterroles.${rbacGroup}`:
      return checkRole(access.authorizer, by.user, intent);
    case `rolebindings.${rbacGroup}`:
    case `clusterrolebindings.${rbacGroup}`:
      return checkBinding(access.authorizer, by.user, intent);
    default:
      return undefined;
  }
}
