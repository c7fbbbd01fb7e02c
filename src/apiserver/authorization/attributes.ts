import type { IncomingMessage } from "node:http";
import { flag } from "../options.ts";
import { parseResourcePath } from "../path.ts";
import { forbidden, ApiError } from "../status.ts";
import type { User } from "../user.ts";

/** What somebody wants to do with a resource. Kubernetes' `authorization/v1.ResourceAttributes`. */
export interface ResourceAttributes {
  readonly kind: "resource";
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or one that a check is about. */
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly resource: string;
  /** Empty for the resource itself. */
  readonly subresource: string;
  /** Empty for all namespaces, or none. */
  readonly namespace: string;
  /** Empty for all. */
  readonly name: string;
  /** The field selector of a list or a watch; empty for none. */
  readonly fieldSelector: string;
}

/** What somebody wants to do with a path that is no resource. */
export interface PathAttributes {
  readonly kind: "path";
  /** The method in lower case. */
  readonly verb: string;
  readonly path: string;
}

/** What somebody wants to do. */
export type Attributes = ResourceAttributes | PathAttributes;

const verbs: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

function verbOf(method: string, name: string | undefined, watching: boolean): string {
  const verb = verbs[method] ?? method.toLowerCase();
  if (verb === "get") return watching ? "watch" : name === undefined ? "list" : "get";
  return verb === "delete" && name === undefined ? "deletecollection" : verb;
}

/** The one object that a list or a watch selects by its name, if it does. */
function selectedName(fieldSelector: string): string {
  return /^metadata\.name==?([^,=!]+)$/.exec(fieldSelector)?.[1] ?? "";
}

/** What a request wants to do, as Kubernetes reads it. @throws ApiError for a path that is broken. */
export function attributesOf(
  { method = "GET" }: IncomingMessage,
  pathname: string,
  query: URLSearchParams,
): Attributes {
  const path = parseResourcePath(pathname);
  if (path === undefined) return { kind: "path", verb: method.toLowerCase(), path: pathname };
  const { group, resource, namespace, name, subresource = "" } = path;
  const watching = subresource === "" && flag(query, "watch");
  const verb = verbOf(method, name, watching);
  const fieldSelector = name === undefined ? (query.get("fieldSelector") ?? "") : "";
  // A namespace itself is in it, so that roles of the namespace can speak of it.
  const own = group === "" && resource === "namespaces" ? (name ?? "") : "";
  return {
    kind: "resource",
    verb,
    group,
    resource,
    subresource,
    namespace: namespace ?? own,
    name: name ?? selectedName(fieldSelector),
    fieldSelector,
  };
}

/** Attributes of a check that is no request of its own. */
export function checkOf(
  parts: Pick<ResourceAttributes, "verb" | "group" | "resource"> & Partial<ResourceAttributes>,
): ResourceAttributes {
  return { kind: "resource", subresource: "", namespace: "", name: "", fieldSelector: "", ...parts };
}

/** The refusal of what somebody may not do, in Kubernetes' words. */
export function refusal(user: User, attributes: Attributes, reason: string): ApiError {
  const end = reason === "" ? "" : `: ${reason}`;
  const who = `User ${JSON.stringify(user.name)}`;
  if (attributes.kind === "path") {
    const { verb, path } = attributes;
    return new ApiError("Forbidden", `forbidden: ${who} cannot ${verb} path ${JSON.stringify(path)}${end}`, {
      details: {},
    });
  }
  const { verb, group, resource, subresource, namespace, name } = attributes;
  const full = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const what = `${who} cannot ${verb} resource "${full}" in API group "${group}" ${where}${end}`;
  const kind = { group, plural: resource };
  if (name !== "") return forbidden(kind, name, what);
  const qualified = group === "" ? resource : `${resource}.${group}`;
  return new ApiError("Forbidden", `${qualified} is forbidden: ${what}`, {
    details: { ...(group === "" ? {} : { group }), kind: resource },
  });
}
