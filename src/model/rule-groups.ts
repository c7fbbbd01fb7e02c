import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { StringMap } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import { everyone } from "./client.ts";
import type { Config } from "./rows.ts";
import { byAge } from "./service.ts";

type Rule = Config<DestinationRuleSpec>;

/** DestinationRules for one host that hold together. */
export interface RuleGroup {
  /** Keys of the rules, the leading one first. */
  readonly rules: readonly string[];
  /** Where they are seen, as the leading rule says it; empty where it leaves that to the mesh. */
  readonly exportTo: readonly string[];
  /** Labels of the workloads that they are for; absent for all. */
  readonly selector?: StringMap;
}

/** What becomes of a rule beside a group that is there already. */
type Fate = "joins" | "joins, and stands alone too" | "stands alone";

/** The labels that a rule's workloads must have; undefined for all workloads. */
export function selectorOf({ spec }: Rule): StringMap | undefined {
  return spec.workloadSelector && (spec.workloadSelector.matchLabels ?? {});
}

/** Where a rule is seen, as it is written. Rules for chosen workloads are never seen elsewhere. */
export function writtenExports(rule: Rule): readonly string[] {
  return selectorOf(rule) ? ["."] : [...new Set(rule.spec.exportTo)].toSorted();
}

/** Whether what has these exports is seen by a namespace other than its own. */
export function isShownTo(exportTo: readonly string[], viewer: string): boolean {
  return exportTo.length === 0 || exportTo.includes(everyone) || exportTo.includes(viewer);
}

function fateOf(exportTo: readonly string[], selector: StringMap | undefined, group: RuleGroup): Fate {
  const same = equal(exportTo, group.exportTo);
  const wider = group.exportTo.length > 0 && group.exportTo.every((each) => exportTo.includes(each));
  if (!same && !wider) return "stands alone";
  if (selector) return equal(selector, group.selector) ? "joins" : "stands alone";
  return group.selector && !same ? "joins, and stands alone too" : "joins";
}

function bySelectorAndAge(a: Rule, b: Rule): number {
  return Number(selectorOf(b) !== undefined) - Number(selectorOf(a) !== undefined) || byAge(a, b);
}

/**
 * Puts rules for one host together as Istio does: those with one selector, and those that are seen by the same namespaces. A
 * rule joins every group whose namespaces it is seen by; it makes one of its own where the last group does not take it. Groups
 * for chosen workloads come first, then the oldest.
 */
export function groupRules(rules: readonly Rule[]): readonly RuleGroup[] {
  const groups: RuleGroup[] = [];
  for (const rule of rules.toSorted(bySelectorAndAge)) {
    const key = `${rule.namespace}/${rule.name}`;
    const [exportTo, selector] = [writtenExports(rule), selectorOf(rule)];
    const fates = groups.map((group) => fateOf(exportTo, selector, group));
    for (const [at, group] of groups.entries()) {
      if (fates[at] !== "stands alone") groups[at] = { ...group, rules: [...group.rules, key] };
    }
    if (fates.at(-1) !== "joins") groups.push({ rules: [key], exportTo, ...(selector && { selector }) });
  }
  return groups;
}

/**
 * The group that holds for a workload: the first that is for it in particular, else of those for all the last, as in Istio.
 * @param chosen keys of the rules whose selectors the workload has the labels of.
 */
export function groupFor(groups: readonly RuleGroup[], chosen: readonly string[] = []): RuleGroup | undefined {
  const own = groups.find(
    ({ rules: [leader], selector }) => selector && leader !== undefined && chosen.includes(leader),
  );
  return own ?? groups.findLast(({ selector }) => !selector);
}
