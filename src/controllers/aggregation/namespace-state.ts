import { codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";

/** Milliseconds that somebody's request waits for an answer of a cluster. */
export const answerMs = 5_000;

/** How a cluster has a namespace now. @throws WeftError when it cannot be asked. */
export async function namespaceStateOf(client: Client, name: string): Promise<"absent" | "terminating" | "active"> {
  const path = `/api/v1/namespaces/${encodeURIComponent(name)}`;
  try {
    const { metadata } = await client.json<{ readonly metadata: { readonly deletionTimestamp?: string } }>({
      method: "GET",
      path,
      timeoutMs: answerMs,
    });
    return metadata.deletionTimestamp === undefined ? "active" : "terminating";
  } catch (error) {
    if (codeOf(error) === "NotFound") return "absent";
    throw error;
  }
}
