/** A Deployment as the status shows it. */
export interface WorkloadStatus {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly ready: number;
  readonly desired: number;
}

/** How many proxies are in which state. */
export interface ProxyCounts {
  readonly connected: number;
  readonly synced: number;
  readonly stale: number;
  readonly refusing: number;
}

/** What the load generator saw in its last second. */
export interface LoadStatus {
  readonly target: number;
  readonly perSecond: number;
  readonly errorsPerSecond: number;
  readonly errors: number;
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One of the demonstration's own processes. */
export interface ServiceStatus {
  readonly name: string;
  readonly pid: number | undefined;
  readonly restarts: number;
}

/** The state of a demonstration, as its supervisor tells it. */
export interface DemoStatus {
  /** `starting` with what is going on, `ready`, or `stopping`. */
  readonly phase: "starting" | "ready" | "stopping";
  readonly step: string;
  /** Seconds since the start. */
  readonly upSeconds: number;
  readonly services: readonly ServiceStatus[];
  readonly workloads: readonly WorkloadStatus[];
  readonly proxies: ProxyCounts | undefined;
  readonly load: LoadStatus | undefined;
  /** The last things that happened, oldest first. */
  readonly events: readonly string[];
}

/** Addresses of a running demonstration; the JSON of `weft demo info -o json`. */
export interface DemoInfo {
  /** URL of the ingress gateway. */
  readonly gateway: string;
  /** Paths of kubeconfig files. */
  readonly kubeconfigs: { readonly mesh: string; readonly east: string; readonly west: string };
  /** Where the bookshop runs. */
  readonly namespace: string;
  /** A network namespace that reaches every Pod, and has no identity of the mesh. */
  readonly outsideNamespace: string;
  /** The supervisor's process. */
  readonly pid: number;
}
