import type { Pod } from "#api/kubernetes/pod.ts";
import type { ResourceObject } from "#api/meta.ts";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import type { PodAddresses } from "./hints.ts";
import type { Layout } from "./layout.ts";
import { demoClusters, endpoints, shopNamespace } from "./layout.ts";
import type { ProxyCounts, WorkloadStatus } from "./status.ts";

interface Deployment extends ResourceObject {
  readonly spec: { readonly replicas?: number };
  readonly status?: {
    readonly readyReplicas?: number;
    readonly observedGeneration?: number;
    readonly updatedReplicas?: number;
  };
}

interface ProxyObject {
  readonly status: {
    readonly connected?: boolean;
    readonly types: Readonly<Record<string, { readonly state: string }>>;
  };
}

/** Reads what a demonstration's status shows, through its APIs. */
export class DemoWatcher implements Disposable {
  readonly #layout: Layout;
  readonly #clients = new Map<string, Client>();

  constructor(layout: Layout) {
    this.#layout = layout;
    for (const name of endpoints) {
      const connection = new Connection({ url: `unix://${layout.apiSocket(name)}` }, { clock: systemClock });
      this.#clients.set(name, new Client(connection));
    }
  }

  /** The client of an endpoint: `mesh` or a cluster. */
  client(endpoint: string): Client {
    const client = this.#clients.get(endpoint);
    if (!client) throw new Error(`${this.#layout.name} has no endpoint ${endpoint}`);
    return client;
  }

  /** Whether an endpoint answers and is ready. */
  async isReady(endpoint: string): Promise<boolean> {
    try {
      await this.client(endpoint).bytes({ method: "GET", path: "/readyz", timeoutMs: 2_000 });
      return true;
    } catch {
      return false;
    }
  }

  /** The Deployments of every cluster; a cluster that is away has none. */
  async workloads(): Promise<readonly WorkloadStatus[]> {
    const lists = demoClusters.map(async ({ name: cluster }) => {
      const found = await this.#items<Deployment>(cluster, "/apis/apps/v1/deployments");
      return (found ?? []).map(({ metadata, spec, status }): WorkloadStatus => {
        const current = (status?.observedGeneration ?? 0) >= metadata.generation;
        const ready = current ? Math.min(status?.readyReplicas ?? 0, status?.updatedReplicas ?? 0) : 0;
        return {
          cluster,
          namespace: metadata.namespace ?? "",
          name: metadata.name,
          ready,
          desired: spec.replicas ?? 1,
        };
      });
    });
    return (await Promise.all(lists)).flat();
  }

  /** The address of a Pod of each service, from whichever cluster has one. */
  async podAddresses(services: readonly string[]): Promise<PodAddresses> {
    const lists = demoClusters.map(async ({ name }) =>
      this.#items<Pod>(name, `/api/v1/namespaces/${shopNamespace}/pods`),
    );
    const pods = (await Promise.all(lists)).flatMap((found) => found ?? []);
    const known = services.flatMap((service): [string, string][] => {
      const found = pods.find(({ metadata, status }) => metadata.labels?.["app"] === service && status?.podIP);
      return found?.status?.podIP === undefined ? [] : [[service, found.status.podIP]];
    });
    return Object.fromEntries(known);
  }

  /** How many proxies are in sync, or undefined when the control plane is away. */
  async proxies(): Promise<ProxyCounts | undefined> {
    const found = await this.#items<ProxyObject>("mesh", "/apis/status.mesh.weft.dev/v1alpha1/proxies");
    if (!found) return undefined;
    const connected = found.filter(({ status }) => status.connected !== false);
    const states = connected.map(({ status }) => Object.values(status.types).map((type) => type.state));
    return {
      connected: states.length,
      synced: states.filter((types) => types.every((state) => state === "SYNCED")).length,
      stale: states.filter((types) => types.includes("STALE")).length,
      refusing: states.filter((types) => types.includes("NACKED")).length,
    };
  }

  async #items<T>(endpoint: string, path: string): Promise<readonly T[] | undefined> {
    try {
      const list = await this.client(endpoint).json<{ readonly items: readonly T[] }>({
        method: "GET",
        path,
        timeoutMs: 2_000,
      });
      return list.items;
    } catch (error) {
      if (codeOf(error) === "Internal") throw error;
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client.connection[Symbol.dispose]();
  }
}
