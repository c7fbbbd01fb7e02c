import type { Client } from "#kube/client.ts";

/** The port of a proxy's administration, which tells its metrics, too. */
const metricsPort = 15000;

/** Requests of a proxy's callers, and how many of them it answered with 5xx. */
export interface RequestCounts {
  readonly all: number;
  readonly failed: number;
}

/** Reads them of metrics in Prometheus' form: those of inbound listeners. */
export function requestCounts(metrics: string): RequestCounts {
  let [all, failed] = [0, 0];
  for (const line of metrics.split("\n")) {
    const [, labels = "", value = "0"] = /^envoy_http_downstream_rq(?:_xx)?\{([^}]*)\} (\d+)$/.exec(line) ?? [];
    const code = /(?:envoy_)?response_code_class="(\d)xx"/.exec(labels)?.[1];
    if (code === undefined || !/http_conn_manager_prefix="inbound_/.test(labels)) continue;
    all += Number(value);
    if (code === "5") failed += Number(value);
  }
  return { all, failed };
}

/**
 * Reads them through the API of the proxy's cluster.
 * @throws WeftError as the client does.
 */
export async function readRequests(client: Client, namespace: string, pod: string): Promise<RequestCounts> {
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}:${metricsPort}/proxy/stats/prometheus`;
  return requestCounts((await client.bytes({ method: "GET", path })).toString("utf8"));
}

/** What was counted since; a proxy's new process begins at nothing. */
export function since(before: RequestCounts, now: RequestCounts): RequestCounts {
  if (now.all < before.all || now.failed < before.failed) return now;
  return { all: now.all - before.all, failed: now.failed - before.failed };
}
