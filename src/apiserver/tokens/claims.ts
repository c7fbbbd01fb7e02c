import type { JWTPayload } from "jose";
import { isObject, type JsonObject } from "#api/json.ts";
import type { Bound } from "./bound-objects.ts";

/** What a service-account token says under `kubernetes.io`, beside the registered claims (RFC 7519, 4.1). */
export interface AccountClaims {
  readonly namespace: string;
  readonly serviceaccount: Bound;
  readonly pod?: Bound;
  readonly node?: Bound;
  readonly secret?: Bound;
}

/** The member of a token that holds Kubernetes' claims. */
export const claimsMember = "kubernetes.io";

function boundAt(claims: JsonObject, member: string): Bound | undefined {
  const value = claims[member];
  if (!isObject(value)) return undefined;
  const { name, uid } = value;
  return typeof name === "string" && typeof uid === "string" ? { name, uid } : undefined;
}

/** Reads Kubernetes' claims of a verified token; undefined when it has none that this server writes. */
export function accountClaims(payload: JWTPayload): AccountClaims | undefined {
  const claims = payload[claimsMember];
  if (!isObject(claims)) return undefined;
  const { namespace } = claims;
  const serviceaccount = boundAt(claims, "serviceaccount");
  if (typeof namespace !== "string" || serviceaccount === undefined) return undefined;
  const [pod, node, secret] = ["pod", "node", "secret"].map((member) => boundAt(claims, member));
  return {
    namespace,
    serviceaccount,
    ...(pod === undefined ? {} : { pod }),
    ...(node === undefined ? {} : { node }),
    ...(secret === undefined ? {} : { secret }),
  };
}

/** The audiences of a token; it may have one as a text or several. */
export function audiencesOf({ aud }: JWTPayload): readonly string[] {
  return aud === undefined ? [] : [aud].flat();
}
