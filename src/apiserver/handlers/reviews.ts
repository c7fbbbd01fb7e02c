import { parseObject, readBody, type JsonObject } from "../body.ts";
import type { AggregatedGroup } from "../discovery/resources.ts";
import { contentType } from "../media.ts";
import { json, type Reply } from "../reply.ts";
import { methodNotAllowed } from "../status.ts";
import type { Call } from "./call.ts";

/** Whoever reaches an endpoint may do everything: requests are not authenticated, so the endpoints are guarded instead. */
const reason = "this API does not authenticate: whoever reaches it may do everything";

/** What each review answers, by kind. Kubernetes' `authorization.k8s.io/v1` and `authentication.k8s.io/v1`. */
const answers: ReadonlyMap<string, JsonObject> = new Map([
  ["SelfSubjectAccessReview", { allowed: true, reason }],
  [
    "SelfSubjectRulesReview",
    {
      resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
      nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
      incomplete: false,
    },
  ],
  ["SelfSubjectReview", { userInfo: { username: "system:anonymous", groups: ["system:unauthenticated"] } }],
]);

function reviewGroup(group: string, kinds: readonly string[]): AggregatedGroup {
  const resources = kinds.map((kind) => ({
    name: `${kind.toLowerCase()}s`,
    singularName: kind.toLowerCase(),
    namespaced: false,
    kind,
    verbs: ["create"],
  }));
  return { group, versions: ["v1"], resources };
}

/** Groups of questions that a client asks about itself, such as `kubectl auth can-i`; nothing of them is stored. */
export const reviewGroups: readonly AggregatedGroup[] = [
  reviewGroup("authentication.k8s.io", ["SelfSubjectReview"]),
  reviewGroup("authorization.k8s.io", ["SelfSubjectAccessReview", "SelfSubjectRulesReview"]),
];

const paths: ReadonlyMap<string, { readonly apiVersion: string; readonly kind: string }> = new Map(
  reviewGroups.flatMap(({ group, resources }) =>
    resources.map(({ name, kind }) => [`/apis/${group}/v1/${name}`, { apiVersion: `${group}/v1`, kind }] as const),
  ),
);

/** Answers a review; undefined for any other path. @throws ApiError. */
export async function handleReview(call: Call): Promise<Reply | undefined> {
  const type = paths.get(call.pathname);
  if (type === undefined) return undefined;
  if (call.method !== "POST") throw methodNotAllowed();
  const review = parseObject(await readBody(call.request), contentType(call.request.headers["content-type"]));
  return json({ ...review, ...type, status: answers.get(type.kind) }, 201);
}
