import type { PlannedPort, VirtualHostPlan } from "./outbound.ts";

/** A plan with all of its words as one. */
export interface IdentifiedPlan extends VirtualHostPlan {
  readonly id: string;
}

/** Every word of a plan, made once with it since each change of routes asks for all. */
export function identified(plan: VirtualHostPlan): IdentifiedPlan {
  const { name, domains, rule = "" } = plan;
  return { ...plan, id: `${name}|${domains.join(" ")}|${rule}` };
}

/** Plans by their names, in the order of these. */
export type PlansByName = ReadonlyMap<string, IdentifiedPlan>;

/** Whether the same plans stand under the same names. */
export function samePlans(a: PlansByName, b: PlansByName): boolean {
  if (a.size !== b.size) return false;
  for (const [name, { id }] of a) if (b.get(name)?.id !== id) return false;
  return true;
}

function sameMembers(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && a.isSubsetOf(b);
}

const nobody: ReadonlySet<string> = new Set();

/** The virtual hosts of a sidecar's port without their routes: all of a common view's, some of them replaced, or its own. */
export class PortPlans {
  /** Those that are replaced, or all. */
  readonly own: PlansByName;
  /** The plans behind them. */
  readonly base: PortPlans | undefined;
  /** See `PlannedPort`. */
  readonly claimed: ReadonlySet<string>;
  readonly crowded: ReadonlySet<string>;

  private constructor(own: PlansByName, base: PortPlans | undefined, claimed = nobody, crowded = nobody) {
    this.own = own;
    this.base = base;
    this.claimed = claimed;
    this.crowded = crowded;
  }

  static readonly none = new PortPlans(new Map(), undefined);

  /** @param known plans of another view, of which those that are the same are taken. */
  static all({ plans, claimed, crowded }: PlannedPort, known?: PortPlans): PortPlans {
    const own = plans.map((plan) => {
      const made = identified(plan);
      const same = known?.get(made.name);
      return [made.name, same?.id === made.id ? same : made] as const;
    });
    return new PortPlans(new Map(own), undefined, claimed, crowded);
  }

  /** @param replaced has no names that the base does not have. */
  static over(base: PortPlans, replaced: readonly VirtualHostPlan[]): PortPlans {
    return new PortPlans(new Map(replaced.map((plan) => [plan.name, identified(plan)])), base);
  }

  get(name: string): IdentifiedPlan | undefined {
    return this.own.get(name) ?? this.base?.get(name);
  }

  /** All, in the order of their names. */
  values(): readonly IdentifiedPlan[] {
    if (!this.base) return [...this.own.values()];
    return this.base.values().map((plan) => this.own.get(plan.name) ?? plan);
  }

  /** Whether every name of other plans is here. */
  covers(other: PortPlans): boolean {
    return this.base === other || other.values().every(({ name }) => this.get(name) !== undefined);
  }

  /** Whether it is the same for every reader. */
  equals(other: PortPlans): boolean {
    return (
      this.base === other.base &&
      samePlans(this.own, other.own) &&
      sameMembers(this.claimed, other.claimed) &&
      sameMembers(this.crowded, other.crowded)
    );
  }
}
