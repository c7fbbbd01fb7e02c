import { codeOf, messageOf } from "#base/errors.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { parseObject, readBody } from "../body.ts";
import type { AggregatedGroup } from "../discovery/resources.ts";
import { contentType } from "../media.ts";
import { parseResourcePath } from "../path.ts";
import { json, type Reply } from "../reply.ts";
import { ApiError, methodNotAllowed } from "../status.ts";
import type { VerifiedToken } from "../tokens/service-account-tokens.ts";
import { userInfo } from "../user.ts";
import { reviewAccess, reviewOwnAccess, reviewOwnRules } from "./access-reviews.ts";
import type { Call } from "./call.ts";

/** Answers a question: its `status`. */
type Answer = (call: Call, spec: JsonObject, namespace: string | undefined) => Promise<object> | object;

/** A kind of question about users. */
interface Review {
  readonly group: string;
  readonly kind: string;
  readonly namespaced?: boolean;
  readonly answer: Answer;
}

async function verify({ context }: Call, token: string, audiences: readonly string[]): Promise<VerifiedToken> {
  const { access, tokens } = context;
  const asked = audiences.length === 0 ? undefined : audiences;
  if (access !== undefined) return access.authenticator.authenticateToken(token, asked);
  if (tokens !== undefined) return tokens.verify(token, asked ?? tokens.apiAudiences);
  throw new ApiError("Unauthorized", "no tokens are known here");
}

/** Whose token it is: `TokenReview`. */
async function reviewToken(call: Call, spec: JsonObject): Promise<object> {
  const { token, audiences = [] } = spec;
  if (typeof token !== "string" || token === "") throw new ApiError("BadRequest", "spec.token: Required value");
  if (!Array.isArray(audiences) || !audiences.every((one) => typeof one === "string")) {
    throw new ApiError("BadRequest", "spec.audiences: must be a list of texts");
  }
  try {
    const verified = await verify(call, token, audiences);
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

const authentication = "authentication.k8s.io";
const authorization = "authorization.k8s.io";

const reviews: readonly Review[] = [
  { group: authentication, kind: "SelfSubjectReview", answer: ({ by }) => ({ userInfo: userInfo(by.user) }) },
  { group: authentication, kind: "TokenReview", answer: reviewToken },
  { group: authorization, kind: "LocalSubjectAccessReview", namespaced: true, answer: reviewAccess },
  { group: authorization, kind: "SelfSubjectAccessReview", answer: reviewOwnAccess },
  { group: authorization, kind: "SelfSubjectRulesReview", answer: reviewOwnRules },
  { group: authorization, kind: "SubjectAccessReview", answer: reviewAccess },
];

function pluralOf({ kind }: Review): string {
  return `${kind.toLowerCase()}s`;
}

function reviewGroup(group: string): AggregatedGroup {
  const resources = reviews
    .filter((review) => review.group === group)
    .map((review) => ({
      name: pluralOf(review),
      singularName: review.kind.toLowerCase(),
      namespaced: review.namespaced ?? false,
      kind: review.kind,
      verbs: ["create"],
    }));
  return { group, versions: ["v1"], resources };
}

/** Groups of questions about users, such as `kubectl auth can-i` asks; nothing of them is stored. */
export const reviewGroups: readonly AggregatedGroup[] = [reviewGroup(authentication), reviewGroup(authorization)];

/** Answers a review; undefined for any other path. @throws ApiError. */
export async function handleReview(call: Call): Promise<Reply | undefined> {
  const path = parseResourcePath(call.pathname);
  const review = reviews.find((one) => one.group === path?.group && pluralOf(one) === path.resource);
  if (path?.version !== "v1" || path.name !== undefined || review === undefined) return undefined;
  if ((review.namespaced ?? false) !== (path.namespace !== undefined)) return undefined;
  if (call.method !== "POST") throw methodNotAllowed();
  const body = parseObject(await readBody(call.request), contentType(call.request.headers["content-type"]));
  const { spec = {} } = body;
  if (!isObject(spec)) throw new ApiError("BadRequest", "spec is not an object");
  const status = await review.answer(call, spec, path.namespace);
  return json({ ...body, apiVersion: `${review.group}/v1`, kind: review.kind, status }, 201);
}
