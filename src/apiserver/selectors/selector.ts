import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { parseFieldSelector } from "./field.ts";
import { parseLabelSelector } from "./label.ts";

/** Which objects a list, a watch or a deletion means. */
export interface Selector {
  readonly matches: (object: ResourceObject) => boolean;
  /** Every object is meant. */
  readonly everything: boolean;
}

/** Reads `labelSelector` and `fieldSelector` of a query. @throws ApiError `BadRequest`. */
export function parseSelector(kind: Kind, version: string, query: URLSearchParams, name?: string): Selector {
  const labels = query.get("labelSelector") ?? "";
  const fields = query.get("fieldSelector") ?? "";
  const byLabel = parseLabelSelector(labels);
  const byField = parseFieldSelector(kind, version, fields);
  return {
    everything: labels === "" && fields === "" && name === undefined,
    matches: (object) =>
      (name === undefined || object.metadata.name === name) && byLabel(object.metadata.labels) && byField(object),
  };
}
