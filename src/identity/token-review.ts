import { decodeJwt } from "jose";
import { WeftError } from "#base/errors.ts";
import { serviceAccountOf, type TokenHolder } from "./caller.ts";
import type { TokenApi } from "./issuer.ts";

/** Kubernetes' `authentication.k8s.io/v1.TokenReview`, as far as its answer is read. */
interface Review {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
  };
}

/** When a token that was accepted ends, as it says itself; undefined for one that does not. */
function endOf(token: string): number | undefined {
  try {
    const { exp } = decodeJwt(token);
    return exp === undefined ? undefined : exp * 1000;
  } catch {
    return undefined;
  }
}

/**
 * Asks a cluster's API whose token it is: which also finds out that the account, the Pod or the Node is gone.
 * @throws WeftError `Unauthenticated` for a token that is not accepted, or another code when the API does not answer.
 */
export async function reviewToken(api: TokenApi, token: string, audience: string): Promise<TokenHolder> {
  const head = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview" };
  const body = { ...head, spec: { token, audiences: [audience] } };
  const path = "/apis/authentication.k8s.io/v1/tokenreviews";
  const { status } = (await api.json({ method: "POST", path, body })) as Review;
  if (status?.authenticated !== true || status.audiences?.includes(audience) !== true) {
    throw new WeftError("Unauthenticated", "the token is not accepted by the cluster's API");
  }
  const { username, extra = {} } = status.user ?? {};
  const account = serviceAccountOf(username);
  if (!account) throw new WeftError("Unauthenticated", "the token is not that of a service account");
  const first = (name: string): string | undefined => extra[`authentication.kubernetes.io/${name}`]?.[0];
  const until = endOf(token);
  const [pod, uid, node] = [first("pod-name"), first("pod-uid"), first("node-name")];
  return {
    namespace: account.namespace,
    serviceAccount: account.name,
    ...(pod !== undefined && uid !== undefined && { pod: { name: pod, uid } }),
    ...(node !== undefined && { node }),
    ...(until !== undefined && { until }),
  };
}
