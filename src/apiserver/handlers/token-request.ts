import type { ResourceObject } from "#api/meta.ts";
import { timestamp } from "#base/timestamp.ts";
import { valueAt } from "#api/columns.ts";
import type { FieldError } from "#api/kind.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { parseObject, readBody } from "../body.ts";
import { contentType } from "../media.ts";
import type { Target } from "../registry/target.ts";
import { getStored } from "../registry/update.ts";
import { json, type Reply } from "../reply.ts";
import { ApiError, conflict, invalid, methodNotAllowed, noSuchPath, notFound } from "../status.ts";
import { boundKinds, isBoundKind } from "../tokens/bound-objects.ts";
import type { ServiceAccountTokens, TokenOrder } from "../tokens/service-account-tokens.ts";
import { limitTokenRequest } from "../authorization/node-restriction.ts";
import type { Call } from "./call.ts";

/** Kubernetes' bounds of a token's life in seconds; those who ask for more than the most get the most. */
const leastSeconds = 600;
const mostSeconds = 24 * 3600;
const defaultSeconds = 3600;

const kind = { group: "authentication.k8s.io", kind: "TokenRequest" } as const;

function wrong(field: string, message: string): ApiError {
  const error: FieldError = { field, reason: "FieldValueInvalid", message };
  return invalid(kind, "", [error]);
}

function secondsOf(spec: JsonObject): number {
  const { expirationSeconds: asked = defaultSeconds } = spec;
  const field = "spec.expirationSeconds";
  if (!Number.isSafeInteger(asked)) {
    throw wrong(field, `Invalid value: ${JSON.stringify(asked)}: must be a whole number`);
  }
  const seconds = asked as number;
  if (seconds < leastSeconds) {
    throw wrong(field, `Invalid value: ${seconds}: may not specify a duration less than 10 minutes`);
  }
  if (seconds > 2 ** 32) {
    throw wrong(field, `Invalid value: ${seconds}: may not specify a duration larger than 2^32 seconds`);
  }
  return Math.min(seconds, mostSeconds);
}

function audiencesOf(spec: JsonObject, tokens: ServiceAccountTokens): readonly string[] {
  const { audiences = [] } = spec;
  const texts = Array.isArray(audiences) && audiences.every((one) => typeof one === "string" && one !== "");
  if (!texts) throw wrong("spec.audiences", `Invalid value: ${JSON.stringify(audiences)}: must be a list of texts`);
  return audiences.length === 0 ? tokens.apiAudiences : (audiences as readonly string[]);
}

/** The object that the token is to be bound to, as it is now. */
async function boundOf(
  spec: JsonObject,
  account: ResourceObject,
  tokens: ServiceAccountTokens,
): Promise<TokenOrder["bound"]> {
  const { boundObjectRef: reference } = spec;
  if (reference === undefined || reference === null) return undefined;
  const { kind, name, uid } = isObject(reference) ? reference : {};
  if (typeof kind !== "string" || typeof name !== "string" || !isBoundKind(kind)) {
    throw new ApiError("BadRequest", `cannot bind token to object of type ${JSON.stringify(kind)}`);
  }
  const resource = { group: "", plural: boundKinds[kind] };
  const object = await tokens.objects.find(kind, account.metadata.namespace ?? "", name);
  if (object === undefined) throw notFound(resource, name);
  if (uid !== undefined && uid !== "" && uid !== object.metadata.uid) {
    const problem = `the UID in the bound object reference (${JSON.stringify(uid)}) does not match the UID in record. The object might have been deleted and then recreated`;
    throw new ApiError("Conflict", `Operation cannot be fulfilled on ${boundKinds[kind]} "${name}": ${problem}`);
  }
  if (kind === "Pod" && valueAt(object, "spec", "serviceAccountName") !== account.metadata.name) {
    const problem = `cannot bind token for serviceaccount "${account.metadata.name}" to pod running with different serviceaccount name.`;
    throw new ApiError("BadRequest", problem);
  }
  return { kind, object };
}

/** POST to a service account's `token`: Kubernetes' `authentication.k8s.io/v1.TokenRequest`. */
export async function handleTokenRequest(call: Call, target: Target, name: string): Promise<Reply> {
  const { tokens } = call.context;
  if (tokens === undefined) throw noSuchPath();
  if (call.method !== "POST") throw methodNotAllowed(target.kind);
  const body = parseObject(await readBody(call.request), contentType(call.request.headers["content-type"]));
  const { metadata, spec = {} } = body;
  if (!isObject(spec)) throw new ApiError("BadRequest", "spec is not an object");
  const submitted = isObject(metadata) ? metadata : {};
  if (submitted["name"] !== undefined && submitted["name"] !== "" && submitted["name"] !== name) {
    throw new ApiError("BadRequest", "the name of the object does not match the name on the URL");
  }
  const account = (await getStored(call.context, target, name)).object;
  if (account.metadata.deletionTimestamp !== undefined) throw conflict(target.kind, name, "it is being deleted");
  const bound = await boundOf(spec, account, tokens);
  limitTokenRequest(call.by.user, account, bound);
  const order = {
    account,
    audiences: audiencesOf(spec, tokens),
    seconds: secondsOf(spec),
    ...(bound === undefined ? {} : { bound }),
  };
  const { token, expires } = await tokens.issue(order);
  const { namespace } = account.metadata;
  return json(
    {
      kind: kind.kind,
      apiVersion: `${kind.group}/v1`,
      metadata: { name, namespace, creationTimestamp: timestamp(call.context.clock.now()) },
      spec: { ...spec, audiences: order.audiences, expirationSeconds: order.seconds },
      status: { token, expirationTimestamp: timestamp(expires) },
    },
    201,
  );
}
