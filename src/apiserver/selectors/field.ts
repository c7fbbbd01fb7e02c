import { resourceName, type Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { valueAt } from "#api/columns.ts";
import { ApiError } from "../status.ts";

/** Fields that every kind can be selected by. */
const common = ["metadata.name", "metadata.namespace"];

/** Fields that a kind can be selected by beside the common ones, by resource: Kubernetes' own lists. */
const fields: Readonly<Record<string, readonly string[]>> = {
  pods: [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
  ],
  events: [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
  ],
  namespaces: ["status.phase"],
  nodes: ["spec.unschedulable"],
  secrets: ["type"],
  services: ["spec.clusterIP", "spec.type"],
  "replicasets.apps": ["status.replicas"],
};

/** Values that stand for an absent field. */
const absent: Readonly<Record<string, string>> = { "spec.unschedulable": "false", "spec.hostNetwork": "false" };

interface Condition {
  readonly field: string;
  readonly value: string;
  readonly equal: boolean;
}

/** A comma or an equals sign in a value is written with a backslash before it. */
const term = /^((?:[^\\=!,]|\\.)*?)(==|!=|=)((?:[^\\=,]|\\.)*)$/s;

function parseTerm(text: string, selector: string): Condition {
  const match = term.exec(text.trim());
  if (match === null) {
    throw new ApiError("BadRequest", `invalid selector: '${selector}'; can't understand '${text.trim()}'`);
  }
  const [, field = "", operator, value = ""] = match;
  return { field: field.trim(), value: value.replaceAll(/\\(.)/gs, "$1"), equal: operator !== "!=" };
}

function textAt(object: ResourceObject, field: string): string {
  // An event's source is selected by its component.
  const path = field === "source" ? ["source", "component"] : field.split(".");
  const value = valueAt(object, ...path);
  if (typeof value === "string") return value;
  return value === undefined || value === null ? (absent[field] ?? "") : JSON.stringify(value);
}

/** What a field selector such as `metadata.name=a,status.phase!=Running` means. @throws ApiError `BadRequest`. */
export function parseFieldSelector(
  kind: Pick<Kind, "group" | "plural">,
  version: string,
  text: string,
): (object: ResourceObject) => boolean {
  const conditions = text
    .split(/(?<!\\),/)
    .filter((part) => part.trim() !== "")
    .map((part) => parseTerm(part, text));
  const known = new Set([...common, ...(fields[resourceName(kind)] ?? [])]);
  for (const { field } of conditions) {
    if (known.has(field)) continue;
    throw new ApiError(
      "BadRequest",
      `Unable to find "${kind.group}/${version}, Resource=${kind.plural}" that match field selector "${text}": field label not supported: ${field}`,
    );
  }
  return (object) => conditions.every(({ field, value, equal }) => (textAt(object, field) === value) === equal);
}
