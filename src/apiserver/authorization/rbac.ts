import type { Binding, ClusterRole, PolicyRule, RoleRef, Subject } from "#api/kubernetes/rbac.ts";
import { rbacGroup } from "#api/kubernetes/rbac.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Partition, ResourceStore } from "#store/port.ts";
import { serviceAccountUser, type User } from "../user.ts";
import type { Attributes } from "./attributes.ts";
import { allows } from "./rules.ts";

/** What an authorizer says: yes and why, or that it knows no reason to allow it, with what went wrong on the way. */
export interface Decision {
  readonly allowed: boolean;
  /** Why; for what is not allowed empty unless something could not be evaluated. */
  readonly reason: string;
}

/** A rule that holds for somebody, and where it comes from. */
interface Grant {
  readonly rule: PolicyRule;
  readonly source: string;
}

/** Resources that decide who may do what. */
export const rbacResources = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"].map(
  (plural) => `${plural}.${rbacGroup}`,
);

/** Whether a subject is a user. @param namespace the binding's, which an account's is unless it says. */
function isSubject({ kind, name, namespace: own = "" }: Subject, user: User, namespace: string): boolean {
  switch (kind) {
    case "User":
      return name === user.name;
    case "Group":
      return user.groups.includes(name);
    case "ServiceAccount":
      return user.name === serviceAccountUser(own === "" ? namespace : own, name);
    default:
      return false;
  }
}

function describe(binding: ResourceObject, subject: Subject): string {
  const { kind, metadata } = binding;
  const { roleRef } = binding as Binding;
  const name = metadata.namespace === undefined ? metadata.name : `${metadata.name}/${metadata.namespace}`;
  const who = subject.kind === "ServiceAccount" ? `${subject.name}/${subject.namespace ?? ""}` : subject.name;
  return `RBAC: allowed by ${kind} "${name}" of ${roleRef.kind} "${roleRef.name}" to ${subject.kind} "${who}"`;
}

/**
 * Kubernetes' role-based access control over the roles of one partition. It reads the store each time, which holds them in
 * memory, so that a right that is withdrawn is gone with the write.
 */
export class Rbac {
  readonly #store: ResourceStore;
  readonly #partition: Partition;

  constructor(store: ResourceStore, partition: Partition) {
    this.#store = store;
    this.#partition = partition;
  }

  /** Whether roles allow somebody something. */
  async authorize(user: User, attributes: Attributes): Promise<Decision> {
    const problems: string[] = [];
    const namespace = attributes.kind === "resource" ? attributes.namespace : "";
    for await (const { rule, source } of this.#grants(user, namespace, problems)) {
      if (allows(rule, attributes)) return { allowed: true, reason: source };
    }
    return { allowed: false, reason: problems.length === 0 ? "" : `RBAC: ${problems.join(", ")}` };
  }

  /** Every rule that holds for somebody in a namespace; empty for those that hold everywhere alone. */
  async rules(user: User, namespace: string): Promise<{ rules: readonly PolicyRule[]; problems: readonly string[] }> {
    const problems: string[] = [];
    const rules: PolicyRule[] = [];
    for await (const { rule } of this.#grants(user, namespace, problems)) rules.push(rule);
    return { rules, problems };
  }

  /** The rules of a role. @returns undefined when there is no such role. */
  async rulesOf({ kind, name }: RoleRef, namespace: string): Promise<readonly PolicyRule[] | undefined> {
    const plural = kind === "Role" ? "roles" : "clusterroles";
    const key = {
      partition: this.#partition,
      resource: `${plural}.${rbacGroup}`,
      namespace: kind === "Role" ? namespace : "",
      name,
    };
    const stored = await this.#store.get(key);
    return stored === undefined ? undefined : ((stored.object as ClusterRole).rules ?? []);
  }

  async *#grants(user: User, namespace: string, problems: string[]): AsyncGenerator<Grant> {
    yield* this.#grantsOf(user, "clusterrolebindings", undefined, problems);
    if (namespace !== "") yield* this.#grantsOf(user, "rolebindings", namespace, problems);
  }

  async *#grantsOf(
    user: User,
    plural: string,
    namespace: string | undefined,
    problems: string[],
  ): AsyncGenerator<Grant> {
    const selection = { partition: this.#partition, resource: `${plural}.${rbacGroup}` };
    const { items } = await this.#store.list({ ...selection, ...(namespace === undefined ? {} : { namespace }) });
    for (const { object } of items) {
      const { roleRef, subjects = [] } = object as Binding;
      const subject = subjects.find((one) => isSubject(one, user, namespace ?? ""));
      if (subject === undefined) continue;
      const rules = await this.rulesOf(roleRef, namespace ?? "");
      if (rules === undefined) {
        problems.push(`${roleRef.kind.toLowerCase()}.${rbacGroup} "${roleRef.name}" not found`);
        continue;
      }
      const source = describe(object, subject);
      for (const rule of rules) yield { rule, source };
    }
  }
}
