import { WeftError, codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";

/** Milliseconds that an API may take to say who it is. */
const timeoutMs = 5_000;

/**
 * Which cluster answers: the UID of its Namespace kube-system, which stays for as long as the cluster does. Undefined where it does
 * not tell.
 * @throws WeftError when it does not answer, or not to these credentials.
 */
export async function clusterUid(client: Client): Promise<string | undefined> {
  const path = "/api/v1/namespaces/kube-system";
  try {
    const answer = await client.json<{ readonly metadata?: { readonly uid?: unknown } } | null>({
      method: "GET",
      path,
      timeoutMs,
    });
    const uid = answer?.metadata?.uid;
    if (typeof uid === "string" && uid !== "") return uid;
    throw new WeftError("Unavailable", `the answer to GET ${path} is no Namespace`);
  } catch (error) {
    // It answers, and knows who asks.
    if (codeOf(error) === "NotFound" || codeOf(error) === "PermissionDenied") return undefined;
    throw error;
  }
}

/** The version of Kubernetes that an API tells. */
export async function clusterVersion(client: Client): Promise<string> {
  const answer = await client.json<{ readonly gitVersion?: unknown } | null>({
    method: "GET",
    path: "/version",
    timeoutMs,
  });
  return typeof answer?.gitVersion === "string" ? answer.gitVersion : "";
}
