import type { Pod } from "#api/kubernetes/pod.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { listenInside } from "#runtime/namespace-socket.ts";
import { proxyPorts } from "../bootstrap.ts";
import { InsideAgent } from "../inside-agent.ts";
import { StatusServer } from "../sidecar/status-server.ts";

/**
 * Where an application's own metrics are, by the annotations that Prometheus follows; undefined where it has none, or they are not to be
 * merged with its proxy's. Annotations and defaults are those of Istio's merging.
 */
export function metricsOf({ metadata: { annotations = {} } }: Pod): string | undefined {
  const {
    "prometheus.io/scrape": scrape,
    "prometheus.io/port": port = "80",
    "prometheus.io/path": path = "/metrics",
  } = annotations;
  if (scrape !== "true" || annotations["prometheus.istio.io/merge-metrics"] === "false") return undefined;
  // Asking itself would never end.
  if (!/^\d{1,5}$/.test(port) || Number(port) === proxyPorts.agent) return undefined;
  return `http://127.0.0.1:${port}${path.startsWith("/") ? path : `/${path}`}`;
}

/** Whose metrics are given. */
export interface PodMetricsOptions {
  /** File of the Pod's network namespace. */
  readonly network: string;
  /** Where the application's own are. */
  readonly metrics: string;
  readonly drain: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Gives the metrics of a Pod's proxy and of its application as one list, at Istio's port in the Pod's network.
 * @throws WeftError `AlreadyExists` when the port is taken.
 */
export async function servePodMetrics({ network, ...options }: PodMetricsOptions): Promise<Disposable> {
  const port = proxyPorts.agent;
  const listener = await listenInside(network, { host: "0.0.0.0", port });
  const agent = new InsideAgent(network);
  const probes = new Map<string, never>();
  const server = await StatusServer.listen({ ...options, port, listener, agent, probes, application: "127.0.0.1" });
  return {
    [Symbol.dispose]: () => {
      server[Symbol.dispose]();
      agent.destroy();
    },
  };
}
