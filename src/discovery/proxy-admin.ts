import type { Client } from "#kube/client.ts";

/** Envoy's administration port, on the Pod's loopback. */
const adminPort = 15000;

/** A page of a proxy's administration interface. */
export interface AdminPage {
  readonly namespace: string;
  readonly pod: string;
  /** Such as `clusters`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/**
 * Reads a page through the API of the proxy's cluster, which reaches its Pods.
 * @throws WeftError as the client does, such as `NotFound` for a Pod that is gone.
 */
export async function readAdmin(client: Client, page: AdminPage): Promise<Buffer> {
  const { namespace, pod, path, query, signal } = page;
  return client.bytes({
    method: "GET",
    path: `/api/v1/namespaces/${namespace}/pods/${pod}:${adminPort}/proxy/${path}`,
    ...(query && { query }),
    signal,
  });
}
