import { equal } from "#base/canonical.ts";
import { rbacGroup, type ClusterRole, type PolicyRule } from "#api/kubernetes/rbac.ts";
import { selects } from "#api/kubernetes/selector.ts";
import type { Controller } from "../collector/controller.ts";
import type { Context } from "../context.ts";
import { update } from "../registry/update.ts";
import { rbacResources } from "./rbac.ts";

const writing = { dryRun: false, fieldValidation: "Ignore", warn: () => undefined } as const;

/** What goes by itself when roles of a partition change: ClusterRoles that are put together from others get their rules. */
export class AggregatedRoles implements Controller {
  readonly name = "aggregated-roles";
  readonly resources = rbacResources;
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  due(): readonly string[] {
    return ["roles"];
  }

  async work(): Promise<void> {
    const { store, partition } = this.#context;
    const { items } = await store.list({ partition, resource: `clusterroles.${rbacGroup}` });
    const roles = items.map(({ object }) => object as ClusterRole);
    for (const role of roles) await this.#aggregate(role, roles);
  }

  async #aggregate(role: ClusterRole, roles: readonly ClusterRole[]): Promise<void> {
    const selectors = role.aggregationRule?.clusterRoleSelectors;
    const kind = this.#context.kinds.named(rbacGroup, "ClusterRole");
    if (selectors === undefined || kind === undefined) return;
    const { name } = role.metadata;
    const chosen = roles.filter(({ metadata }) => {
      return metadata.name !== name && selectors.some((selector) => selects(selector, metadata.labels ?? {}));
    });
    const rules: PolicyRule[] = [];
    for (const rule of chosen.flatMap((one) => one.rules ?? [])) {
      if (!rules.some((known) => equal(known, rule))) rules.push(rule);
    }
    if (equal(rules, role.rules ?? [])) return;
    const target = { kind, version: kind.versions[0].name, namespace: undefined };
    const change = {
      target,
      name,
      part: "specification",
      change: (current: object) => ({ ...current, rules }),
    } as const;
    await update(this.#context, change, writing);
  }
}
