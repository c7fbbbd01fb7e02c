import type { Pod } from "#api/kubernetes/pod.ts";
import { truthOf } from "#api/istio/annotation-values.ts";
import { WeftError } from "#base/errors.ts";

/** Where the agent finds an application's own metrics: Istio's form, as the Pod's annotations say it. */
export interface ScrapeTarget {
  readonly scrape: string;
  readonly path: string;
  readonly port: string;
}

/** Prometheus reads annotations so: characters that a label may not have are all the same. */
function sameName(annotation: string): string {
  return annotation.replaceAll(/[^a-zA-Z0-9_]/g, "_");
}

const names = { scrape: "prometheus_io_scrape", port: "prometheus_io_port", path: "prometheus_io_path" } as const;

/** Ports of the mesh itself, at which there are no metrics of an application. */
const reserved: ReadonlySet<number> = new Set([15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090]);

function checkPort(text: string, agent: number): void {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw new WeftError("InvalidArgument", `annotation prometheus.io/port: "${text}" is no port`);
  if (port === agent || reserved.has(port))
    throw new WeftError("InvalidArgument", `annotation prometheus.io/port: ${port} is a port of the mesh itself`);
}

/** A Pod whose metrics are read at its proxy's agent, with where that finds those of the application; undefined where they are not to be. */
export interface Merged {
  readonly pod: Pod;
  /** Undefined where the application has none. */
  readonly target: ScrapeTarget | undefined;
}

/**
 * Has a Pod's metrics read at the proxy's agent, which passes the application's on beside the proxy's.
 * @param agent port of the proxy's agent.
 * @throws WeftError `InvalidArgument` for a port that cannot be one.
 */
export function mergedMetrics(pod: Pod, merge: boolean, agent: number): Merged | undefined {
  const { annotations = {} } = pod.metadata;
  const told = (name: keyof typeof names): string | undefined =>
    Object.entries(annotations).find(([key]) => sameName(key) === names[name])?.[1];
  const wanted = truthOf(annotations["prometheus.istio.io/merge-metrics"]) ?? merge;
  const [scrape = "", path = "", port = ""] = [told("scrape"), told("path"), told("port")];
  // With the agent's own port somebody has done it before.
  if (!wanted || truthOf(scrape) === false || port === String(agent)) return undefined;
  if (port !== "") checkPort(port, agent);
  const others = Object.entries(annotations).filter(([key]) => !Object.values<string>(names).includes(sameName(key)));
  const own = {
    "prometheus.io/port": String(agent),
    "prometheus.io/path": "/stats/prometheus",
    "prometheus.io/scrape": "true",
  };
  const metadata = { ...pod.metadata, annotations: { ...Object.fromEntries(others), ...own } };
  const isSet = scrape !== "" || path !== "" || port !== "";
  return { pod: { ...pod, metadata }, target: isSet ? { scrape, path, port } : undefined };
}
