import type { ManagedFieldsEntry } from "#api/meta.ts";
import { ApiError } from "../status.ts";
import { pathText } from "./path-element.ts";

/** A field that an application changes and another manages. */
export interface FieldConflict {
  readonly manager: ManagedFieldsEntry;
  readonly path: readonly string[];
}

/** More conflicts than these are counted and not told. */
const mostTold = 100;

function managerText({ manager, operation, apiVersion, subresource }: ManagedFieldsEntry): string {
  const part = subresource === undefined ? "" : ` with subresource ${JSON.stringify(subresource)}`;
  return `${JSON.stringify(manager)}${part}${operation === "Update" ? ` using ${apiVersion}` : ""}`;
}

function messageOf(conflicts: readonly FieldConflict[]): string {
  const [first] = conflicts;
  if (first !== undefined && conflicts.length === 1) {
    return `Apply failed with 1 conflict: conflict with ${managerText(first.manager)}: ${pathText(first.path)}`;
  }
  const byManager = Map.groupBy(conflicts.slice(0, mostTold), ({ manager }) => managerText(manager));
  const texts = [...byManager]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([manager, own]) => [`conflicts with ${manager}:`, ...own.map(({ path }) => `- ${pathText(path)}`)]);
  const more = conflicts.length > mostTold ? [`and ${conflicts.length - mostTold} more`] : [];
  return `Apply failed with ${conflicts.length} conflicts: ${[...texts.flat(), ...more].join("\n")}`;
}

/** The refusal of an application that changes what others manage, in Kubernetes' words: kubectl shows it as it is. */
export function applyConflict(conflicts: readonly FieldConflict[]): ApiError {
  return new ApiError("Conflict", messageOf(conflicts), {
    details: {
      causes: conflicts.slice(0, mostTold).map(({ manager, path }) => ({
        reason: "FieldManagerConflict",
        message: `conflict with ${managerText(manager)}`,
        field: pathText(path),
      })),
    },
  });
}
