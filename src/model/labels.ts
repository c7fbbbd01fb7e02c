import { ownValue } from "#api/record.ts";
import type { StringMap } from "#api/meta.ts";

/** Whether labels carry everything that a selector asks for. An empty selector matches everything. */
export function labelsMatch(selector: StringMap, labels: StringMap): boolean {
  return Object.entries(selector).every(([name, value]) => ownValue(labels, name) === value);
}
