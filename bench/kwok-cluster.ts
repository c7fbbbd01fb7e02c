/** A real Kubernetes control plane whose nodes and Pods kwok plays: all objects of a cluster, and no program in any Pod. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { node as nodeKind } from "#api/kubernetes/node.ts";
import { pod as podKind } from "#api/kubernetes/pod.ts";
import { service as serviceKind } from "#api/kubernetes/service.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { systemClock } from "#base/clock.ts";
import { type Cluster, startCluster } from "../test/kubernetes/cluster.ts";
import { flags } from "../test/kubernetes/control-plane.ts";
import { admin } from "../test/kubernetes/credentials.ts";
import { Daemon, whileRunning } from "../test/kubernetes/daemon.ts";

/** How much there is in each cluster. */
export interface ClusterSize {
  readonly services: number;
  readonly namespaces: number;
  readonly nodes: number;
  /** Pods of each service. */
  readonly replicas: number;
}

/** Writes in flight at once. */
const atOnce = 16;
/** Milliseconds that filling a cluster may take. */
const fillLimitMs = 1_200_000;
/** Kubernetes' controllers are not to be what is waited for. */
const unhurried = { "kube-api-qps": 1000, "kube-api-burst": 2000, "concurrent-service-endpoint-syncs": 20 };

/** Does something for each of so many, some at once. */
async function each(count: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await act(next - 1);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** The namespace of the service with a number. */
export function namespaceOf(service: number, { namespaces }: ClusterSize): string {
  return `ns-${service % namespaces}`;
}

/** A Pod as an application's: with what makes real ones as large as they are. */
function podOf(service: number, replica: number, size: ClusterSize) {
  const app = `svc-${service}`;
  const probe = { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 10 };
  const resources = { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } };
  const env = Array.from({ length: 10 }, (_, index) => ({
    name: `SETTING_${index}`,
    value: `value ${index} of ${app}`,
  }));
  const ports = [{ name: "http", containerPort: 8080, protocol: "TCP" }];
  const container = { name: "app", image: `registry.example/${app}:v1`, env, ports, resources };
  return {
    metadata: {
      namespace: namespaceOf(service, size),
      name: `${app}-${replica}`,
      labels: { app, version: "v1", "app.kubernetes.io/part-of": "shop" },
    },
    spec: {
      nodeName: `node-${(service * size.replicas + replica) % size.nodes}`,
      terminationGracePeriodSeconds: 1,
      containers: [{ ...container, readinessProbe: probe, livenessProbe: probe }],
    },
  };
}

/** A cluster that is filled. */
export class KwokCluster implements AsyncDisposable {
  readonly name: string;
  readonly cluster: Cluster;
  readonly #size: ClusterSize;
  readonly #resources: AsyncDisposableStack;

  private constructor(cluster: Cluster, size: ClusterSize, resources: AsyncDisposableStack) {
    this.name = cluster.name;
    this.cluster = cluster;
    this.#size = size;
    this.#resources = resources;
  }

  /** Starts the cluster with a number, whose Pods have addresses that no other's have, and its kwok. */
  static async start(index: number, size: ClusterSize): Promise<KwokCluster> {
    await using starting = new AsyncDisposableStack();
    const pods = `10.${64 + index}.0.0/16`;
    const name = `c${index}`;
    const cluster = starting.use(await startCluster({ name, pods, controllerManager: flags(unhurried) }));
    const program = execFileSync(process.execPath, ["setup/kwok.ts"], { encoding: "utf8" }).trim();
    const kubeconfig = cluster.credentials.kubeconfig("kwok", cluster.internalUrl, admin);
    const settings = {
      kubeconfig,
      config: join(import.meta.dirname, "kwok-stages.yaml"),
      "manage-all-nodes": true,
      "node-ip": "192.0.2.1",
      "node-lease-duration-seconds": 40,
    };
    const log = join(cluster.folder, "kwok.log");
    starting.use(new Daemon({ name: "kwok", argv: [program, ...flags(settings)], log }).start());
    return new KwokCluster(cluster, size, starting.move());
  }

  /** Makes everything, and waits until all Pods are ready endpoints. */
  async fill(): Promise<void> {
    const { services, namespaces, nodes, replicas } = this.#size;
    const { client } = this.cluster.api;
    await each(namespaces, async (index) => client.of(namespaceKind).create({ metadata: { name: `ns-${index}` } }));
    await each(nodes, async (index) => this.#createNode(`node-${index}`));
    await each(namespaces, async (index) => this.#account(`ns-${index}`));
    await each(services, async (index) => this.#createService(index));
    const podCount = services * replicas;
    await each(podCount, async (index) =>
      client.of(podKind).create(podOf(Math.floor(index / replicas), index % replicas, this.#size)),
    );
    const { controllerManager } = this.cluster.controlPlane;
    await whileRunning(
      [controllerManager],
      `${podCount} Pods are ready endpoints`,
      async () => {
        await systemClock.sleep(1000);
        return (await this.#readyEndpoints()) === podCount;
      },
      fillLimitMs,
    );
  }

  /** Says of a Pod that it is ready or not, as its kubelet would. */
  async setReady(service: number, replica: number, ready: boolean): Promise<void> {
    const lastTransitionTime = new Date(systemClock.now()).toISOString().replace(/\.\d+/, "");
    const status = ready ? "True" : "False";
    const conditions = ["ContainersReady", "Ready"].map((type) => ({ type, status, lastTransitionTime }));
    const name = { namespace: namespaceOf(service, this.#size), name: `svc-${service}-${replica}` };
    const body = { status: { conditions } };
    await this.cluster.api.client.of(podKind).patch(name, { kind: "strategic", body }, { subresource: "status" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #createNode(name: string): Promise<void> {
    const zone = `zone-${Number(name.slice("node-".length)) % 3}`;
    const labels = {
      "topology.kubernetes.io/region": this.name,
      "topology.kubernetes.io/zone": `${this.name}-${zone}`,
    };
    const nodes = this.cluster.api.client.of(nodeKind);
    await nodes.create({ metadata: { name, labels } });
    // kwok takes addresses of Pods from the node's range, which a controller gives.
    await this.#until(`${name} has a range of addresses and is ready`, async () => {
      const { spec, status } = (await nodes.get({ name })) as {
        readonly spec?: { readonly podCIDR?: string };
        readonly status?: { readonly phase?: string };
      };
      return spec?.podCIDR !== undefined && status?.phase === "Running";
    });
  }

  async #account(namespace: string): Promise<void> {
    const accounts = this.cluster.api.client.of(serviceAccount);
    await this.#until(`${namespace} has its default service account`, async () =>
      accounts.find({ namespace, name: "default" }),
    );
  }

  async #createService(index: number): Promise<void> {
    const name = `svc-${index}`;
    const spec = { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }] };
    await this.cluster.api.client
      .of(serviceKind)
      .create({ metadata: { namespace: namespaceOf(index, this.#size), name }, spec });
  }

  async #readyEndpoints(): Promise<number> {
    const { items } = await this.cluster.api.client.of(endpointSlice).list();
    const lists = items as unknown as readonly { endpoints?: readonly { conditions?: { ready?: boolean } }[] }[];
    return lists.flatMap(({ endpoints = [] }) => endpoints.filter(({ conditions }) => conditions?.ready)).length;
  }

  async #until(what: string, check: () => Promise<unknown>): Promise<void> {
    await whileRunning([this.cluster.controlPlane.controllerManager], what, check);
  }
}
