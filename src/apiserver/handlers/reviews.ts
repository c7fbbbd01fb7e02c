import { codeOf, messageOf } from "#base/errors.ts";
import { isObject, parseObject, readBody, type JsonObject } from "../body.ts";
import type { AggregatedGroup } from "../discovery/resources.ts";
import { contentType } from "../media.ts";
import { json, type Reply } from "../reply.ts";
import { ApiError, methodNotAllowed } from "../status.ts";
import { userInfo } from "../user.ts";
import type { Call } from "./call.ts";

/** Whoever reaches an endpoint may do everything: requests are not authenticated, so the endpoints are guarded instead. */
const reason = "this API does not authenticate: whoever reaches it may do everything";

/** Answers a question: its `status`. */
type Review = (call: Call, spec: JsonObject) => Promise<object> | object;

/** Whose token it is: Kubernetes' `authentication.k8s.io/v1.TokenReview`. */
async function reviewToken({ context }: Call, spec: JsonObject): Promise<object> {
  const { token, audiences = [] } = spec;
  if (typeof token !== "string" || token === "") throw new ApiError("BadRequest", "spec.token: Required value");
  if (!Array.isArray(audiences) || !audiences.every((one) => typeof one === "string")) {
    throw new ApiError("BadRequest", "spec.audiences: must be a list of texts");
  }
  const { tokens } = context;
  if (tokens === undefined) return { authenticated: false, user: {} };
  const wanted = audiences.length === 0 ? tokens.apiAudiences : audiences;
  try {
    const verified = await tokens.verify(token, wanted);
    return {
      authenticated: true,
      user: userInfo(verified.user),
      ...(audiences.length === 0 ? {} : { audiences: verified.audiences }),
    };
  } catch (error) {
    if (codeOf(error) !== "Unauthenticated") throw error;
    return { authenticated: false, user: {}, error: messageOf(error) };
  }
}

/** What answers each question, by kind. Kubernetes' `authorization.k8s.io/v1` and `authentication.k8s.io/v1`. */
const reviews: ReadonlyMap<string, Review> = new Map<string, Review>([
  ["SelfSubjectAccessReview", () => ({ allowed: true, reason })],
  [
    "SelfSubjectRulesReview",
    () => ({
      resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
      nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
      incomplete: false,
    }),
  ],
  ["SelfSubjectReview", ({ user }) => ({ userInfo: userInfo(user) })],
  ["TokenReview", reviewToken],
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

/** Groups of questions about users, such as `kubectl auth can-i` asks; nothing of them is stored. */
export const reviewGroups: readonly AggregatedGroup[] = [
  reviewGroup("authentication.k8s.io", ["SelfSubjectReview", "TokenReview"]),
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
  const { spec = {} } = review;
  if (!isObject(spec)) throw new ApiError("BadRequest", "spec is not an object");
  const status = await reviews.get(type.kind)?.(call, spec);
  return json({ ...review, ...type, status }, 201);
}
