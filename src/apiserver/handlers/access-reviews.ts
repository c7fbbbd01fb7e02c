import type { PolicyRule } from "#api/kubernetes/rbac.ts";
import { checkOf, type Attributes } from "../authorization/attributes.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { ApiError } from "../status.ts";
import { group, type User } from "../user.ts";
import type { Call } from "./call.ts";

/** What is said where nobody is asked: the endpoints are guarded instead. */
const openReason = "this API does not authenticate: whoever reaches it may do everything";

function textAt(object: JsonObject, member: string): string {
  const value = object[member] ?? "";
  if (typeof value === "string") return value;
  throw new ApiError("BadRequest", `spec: ${member} is not a text`);
}

function textsAt(object: JsonObject, member: string): readonly string[] {
  const value = object[member] ?? [];
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
  throw new ApiError("BadRequest", `spec: ${member} is not a list of texts`);
}

/** Kubernetes' selectors in attributes: as text, or as requirements of which only the plainest mean something here. */
function fieldSelectorOf(resource: JsonObject): string {
  const selector = resource["fieldSelector"];
  return isObject(selector) ? textAt(selector, "rawSelector") : "";
}

/** What a review asks about. @throws ApiError `BadRequest` unless it asks about one thing. */
function attributesIn(spec: JsonObject): Attributes {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (isObject(resource) === isObject(path)) {
    const problem = "exactly one of resourceAttributes and nonResourceAttributes must be specified";
    throw new ApiError("BadRequest", `spec: ${problem}`);
  }
  if (isObject(path)) return { kind: "path", verb: textAt(path, "verb"), path: textAt(path, "path") };
  const asked = resource as JsonObject;
  return checkOf({
    verb: textAt(asked, "verb"),
    group: textAt(asked, "group"),
    resource: textAt(asked, "resource"),
    subresource: textAt(asked, "subresource"),
    namespace: textAt(asked, "namespace"),
    name: textAt(asked, "name"),
    fieldSelector: fieldSelectorOf(asked),
  });
}

async function decide({ context }: Call, user: User, attributes: Attributes): Promise<object> {
  if (context.access === undefined) return { allowed: true, reason: openReason };
  const { allowed, reason } = await context.access.authorizer.authorize(user, attributes);
  return { allowed, ...(reason === "" ? {} : { reason }) };
}

/** Whether the user may do something: `SelfSubjectAccessReview`. */
export function reviewOwnAccess(call: Call, spec: JsonObject): Promise<object> {
  return decide(call, call.by.user, attributesIn(spec));
}

function extraIn(spec: JsonObject): Readonly<Record<string, readonly string[]>> {
  const extra = spec["extra"];
  if (!isObject(extra)) return {};
  return Object.fromEntries(Object.keys(extra).map((key) => [key, textsAt(extra, key)]));
}

/** Whether somebody may do something: `SubjectAccessReview`, and `LocalSubjectAccessReview` in a namespace. */
export function reviewAccess(call: Call, spec: JsonObject, namespace: string | undefined): Promise<object> {
  const attributes = attributesIn(spec);
  const name = textAt(spec, "user");
  const groups = textsAt(spec, "groups");
  if (name === "" && groups.length === 0) {
    throw new ApiError("BadRequest", "spec: at least one of user and groups must be specified");
  }
  if (namespace !== undefined && (attributes.kind !== "resource" || attributes.namespace !== namespace)) {
    throw new ApiError("BadRequest", "spec.resourceAttributes.namespace: it must be the review's own namespace");
  }
  return decide(call, { name, groups, uid: textAt(spec, "uid"), extra: extraIn(spec) }, attributes);
}

function resourceRule({ verbs, apiGroups = [], resources = [], resourceNames }: PolicyRule): object {
  return { verbs, apiGroups, resources, ...(resourceNames === undefined ? {} : { resourceNames }) };
}

const everything: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

/** What the user may do in a namespace: `SelfSubjectRulesReview`. */
export async function reviewOwnRules({ context, by }: Call, spec: JsonObject): Promise<object> {
  const namespace = textAt(spec, "namespace");
  if (context.access !== undefined && namespace === "") {
    throw new ApiError("BadRequest", "no namespace on request: spec.namespace");
  }
  const unlimited = context.access === undefined || by.user.groups.includes(group.masters);
  const { rules, problems } = unlimited
    ? { rules: everything, problems: [] }
    : await context.access.authorizer.rbac.rules(by.user, namespace);
  return {
    resourceRules: rules.filter(({ nonResourceURLs }) => nonResourceURLs === undefined).map(resourceRule),
    nonResourceRules: rules.flatMap(({ verbs, nonResourceURLs }) =>
      nonResourceURLs === undefined ? [] : [{ verbs, nonResourceURLs }],
    ),
    incomplete: problems.length > 0,
    ...(problems.length === 0 ? {} : { evaluationError: problems.join(", ") }),
  };
}
