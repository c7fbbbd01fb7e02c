import type { StringMap } from "../meta.ts";
import { ownValue } from "../record.ts";
import type { LabelSelector } from "./meta.ts";

const operators: Readonly<Record<string, (key: string, values: string) => string>> = {
  In: (key, values) => `${key} in (${values})`,
  NotIn: (key, values) => `${key} notin (${values})`,
  Exists: (key) => key,
  DoesNotExist: (key) => `!${key}`,
};

/** Labels as the text that kubectl's `--selector` takes: `app=web,tier=front`; `<none>` where there are none. */
export function labelsText(labels: StringMap | undefined): string {
  const entries = Object.entries(labels ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? "<none>" : entries.map(([key, value]) => `${key}=${value}`).join(",");
}

/** A label selector as the text that kubectl's `--selector` takes; `<none>` where it asks nothing. */
export function selectorText(selector: LabelSelector | undefined): string {
  const labels = selector?.matchLabels ?? {};
  const parts = Object.keys(labels).length === 0 ? [] : [labelsText(labels)];
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const text = ownValue(operators, operator)?.(key, values.toSorted().join(","));
    if (text !== undefined) parts.push(text);
  }
  return parts.length === 0 ? "<none>" : parts.join(",");
}

/** Whether labels fit a selector. An operator that Kubernetes does not know fits nothing. */
export function selects(selector: LabelSelector, labels: StringMap): boolean {
  const all = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => ownValue(labels, key) === value);
  return (
    all &&
    (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = ownValue(labels, key);
      switch (operator) {
        case "In":
          return value !== undefined && values.includes(value);
        case "NotIn":
          return value === undefined || !values.includes(value);
        case "Exists":
          return value !== undefined;
        case "DoesNotExist":
          return value === undefined;
        default:
          return false;
      }
    })
  );
}
