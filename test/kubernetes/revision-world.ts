/** A cluster with an installed mesh of two revisions, an injected workload and a node-managed one, and a load on both. */
import { execFile } from "node:child_process";
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#base/clock.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { startDns } from "./dns.ts";
import type { Image } from "./image.ts";
import { ClusterNetwork } from "./network.ts";
import { type KubernetesNode, startNode } from "./node.ts";
import { proxyImage } from "./proxy-image.ts";
import { between, failures, type LoadState, packShop } from "./shop.ts";

/** The folder of the node where an installation keeps the mesh's objects. */
export const store = "/var/lib/weft-store";
const weft = join(import.meta.dirname, "..", "..", "weft");
/** Milliseconds that a command may take on a busy machine. */
export const patience = 240_000;

/** What came of a command. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The cluster and what runs in it. */
export class RevisionWorld implements AsyncDisposable {
  readonly network: ClusterNetwork;
  readonly cluster: Cluster;
  readonly node: KubernetesNode;
  readonly #owned: AsyncDisposableStack;
  /** The file of an administrator of the cluster. */
  readonly kubeconfig: string;
  readonly #images: { readonly own: Image; readonly shop: Image };
  /** The image of Weft. */
  readonly image: string;

  private constructor(
    network: ClusterNetwork,
    cluster: Cluster,
    node: KubernetesNode,
    images: { readonly own: Image; readonly shop: Image },
    owned: AsyncDisposableStack,
  ) {
    this.network = network;
    this.cluster = cluster;
    this.node = node;
    this.#images = images;
    this.image = images.own.name;
    this.#owned = owned;
    this.kubeconfig = join(cluster.folder, "install.kubeconfig");
    writeFileSync(this.kubeconfig, cluster.kubeconfig(), { mode: 0o600 });
  }

  /** @param name tells its network from those of others. */
  static async start(name: string): Promise<RevisionWorld> {
    await using stack = new AsyncDisposableStack();
    const network = stack.use(await ClusterNetwork.create(name));
    const [shop, own] = await Promise.all([packShop(), proxyImage("weft.dev/test/weft:1")]);
    stack.use(shop);
    stack.use(own);
    // Webhooks and aggregated APIs are reached by their endpoints: no kube-proxy runs where the API server does.
    const cluster = stack.use(
      await startCluster({ name: "one", network, apiServer: ["--enable-aggregator-routing=true"] }),
    );
    stack.use(await startDns(cluster));
    const node = stack.use(await startNode(cluster, { name: "n1", images: [shop, own] }));
    mkdirSync(node.path(store));
    chownSync(node.path(store), 1337, 1337);
    return new RevisionWorld(network, cluster, node, { own, shop }, stack.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  /** Has something end with the world. */
  use<T extends AsyncDisposable>(resource: T): T {
    return this.#owned.use(resource);
  }

  /** Runs Weft's command against the cluster. */
  async weft(...args: readonly string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const options = { env: { ...process.env, KUBECONFIG: this.kubeconfig }, timeout: patience };
      const child = execFile(weft, [...args], options, (_error, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, stdout, stderr }),
      );
    });
  }

  /** The same, which must succeed. */
  async succeeds(...args: readonly string[]): Promise<string> {
    const outcome = await this.weft(...args);
    if (outcome.code === 0) return outcome.stdout;
    const told = await this.cluster.kubectl("describe pods -n istio-system", { patience });
    const log = await this.cluster.kubectl("logs -n istio-system -l app=istiod --prefix --all-containers --tail=30", {
      patience,
    });
    const all = [outcome.stdout, outcome.stderr, told.stdout.slice(-4000), log.stdout].join("\n");
    throw new Error(`${args.join(" ")}: ${all}`);
  }

  async kubectl(line: string | readonly string[], ...objects: readonly object[]): Promise<string> {
    const input = objects.map((object) => JSON.stringify(object)).join("\n---\n");
    const { code, stdout, stderr } = await this.cluster.kubectl(line, { input, patience });
    if (code !== 0) throw new Error(`kubectl ${String(line)}: ${stderr}`);
    return stdout.trim();
  }

  /** Installs the mesh, or a revision beside it. */
  async install(...flags: readonly string[]): Promise<string> {
    const common = ["--image", this.#images.own.name, "--image-pull-policy=Never", "--cluster=one", "--replicas=1"];
    return this.succeeds("install", ...common, `--store=${store}`, "--timeout=120", ...flags);
  }

  /** Has agents run on the nodes. @param flags of `weft node-agent-objects`. */
  async agents(...flags: readonly string[]): Promise<void> {
    const image = ["--image", this.#images.own.name, "--image-pull-policy=Never", "--cluster=one"];
    const objects = await this.succeeds("node-agent-objects", ...image, ...flags);
    const { code, stderr } = await this.cluster.kubectl("apply -f -", { input: objects, patience });
    if (code !== 0) throw new Error(`the agents are not made: ${stderr}`);
    await this.kubectl("rollout status daemonset weft-node-agent -n istio-system --timeout=3m");
  }

  /** The end of what the agents have logged. */
  async agentLog(): Promise<string> {
    return this.kubectl("logs daemonset/weft-node-agent -n istio-system --tail=40");
  }

  /** A Deployment of one Pod of the bookshop, replaced without a gap. */
  deployment(namespace: string, service: "details" | "ratings"): object {
    const env = { VERSION: "v1", CLUSTER: "one", DRAIN_MS: "5000" };
    const container = {
      command: ["node", "--max-semi-space-size=2", `samples/bookshop/${service}.ts`],
      env: Object.entries(env).map(([name, value]) => ({ name, value })),
      ports: [{ name: "http", containerPort: 9080 }],
      readinessProbe: { httpGet: { path: "/health", port: 9080 }, periodSeconds: 1, timeoutSeconds: 5 },
    };
    const strategy = { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
    const selector = { matchLabels: { app: service } };
    const template = this.#template(service, container);
    return {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { namespace, name: service },
      spec: { replicas: 1, strategy, selector, template },
    };
  }

  /** A Pod that sends load to URLs by name. */
  loadPod(namespace: string, urls: Readonly<Record<string, string>>): object {
    const targets = Object.entries(urls).map(([name, url]) => `${name}=${url}`);
    const command = ["node", "--max-semi-space-size=2", "test/kubernetes/shop-load-main.ts", ...targets];
    const { metadata, spec } = this.#template("load", { command });
    return { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, namespace, name: "load" }, spec };
  }

  /** What the load of a namespace has come to. */
  async load(namespace: string): Promise<LoadState> {
    return JSON.parse(await this.kubectl(`exec -n ${namespace} load -c app -- cat /tmp/load.json`)) as LoadState;
  }

  /** Waits until a load Pod's calls go through the proxy that the node's agent gave it, and reach what they call. */
  async loadIsJoined(namespace: string, services: readonly string[]): Promise<void> {
    await this.kubectl(`wait pod load -n ${namespace} --for=condition=Ready --timeout=2m`);
    const captured = 'jsonpath={.status.conditions[?(@.type=="mesh.weft.dev/TrafficCaptured")].status}';
    await eventually(
      "the load goes through its proxy",
      async () => (await this.kubectl(["get", "pod", "-n", namespace, "load", "-o", captured])) === "True",
      90_000,
    );
    await eventually(
      "the load is unhurt",
      async () => {
        const before = await this.load(namespace);
        await systemClock.sleep(1000);
        return (await this.harm(namespace, services, before)).length === 0;
      },
      60_000,
    );
  }

  /** What is wrong with what came of a load since a moment: failures, or too few requests; nothing where that is empty. */
  async harm(namespace: string, services: readonly string[], since: LoadState): Promise<readonly string[]> {
    const now = await this.load(namespace);
    return services.flatMap((service) => {
      const { perSecond, outcomes } = between(since, now, service);
      const failed = failures(outcomes);
      const slow = perSecond < 20 ? [`${service}: ${perSecond} requests a second`] : [];
      return [...(Object.keys(failed).length > 0 ? [`${service}: ${JSON.stringify(failed)}`] : []), ...slow];
    });
  }

  /** All processes of the Pods of a namespace: their applications and their Envoys. */
  async processes(namespace: string): Promise<readonly string[]> {
    const uids = (await this.kubectl(`get pods -n ${namespace} -o jsonpath={.items[*].metadata.uid}`)).split(" ");
    const found = uids.map(async (uid) => {
      const files = `find /sys/fs/cgroup -path '*pod${uid}/*' -name cgroup.procs`;
      return this.node.run(["sh", "-c", `cat $(${files}) < /dev/null`]);
    });
    const ids = (await Promise.all(found)).flatMap((text) => text.split("\n")).filter((id) => id !== "");
    return [...new Set(ids)].toSorted();
  }

  #template(app: string, container: object): { readonly metadata: object; readonly spec: object } {
    const annotations = { "sidecar.istio.io/proxyCPU": "10m", "sidecar.istio.io/proxyMemory": "64Mi" };
    const image = { image: this.#images.shop.name, imagePullPolicy: "Never", workingDir: "/shop" };
    const spec = { terminationGracePeriodSeconds: 20, containers: [{ name: "app", ...image, ...container }] };
    return { metadata: { labels: { app }, annotations }, spec };
  }
}

/** A PeerAuthentication that has all workloads of the mesh take mutual TLS alone. */
export const strictMesh = {
  apiVersion: "security.istio.io/v1",
  kind: "PeerAuthentication",
  metadata: { namespace: "istio-system", name: "default" },
  spec: { mtls: { mode: "STRICT" } },
} as const;

/** A namespace with labels. */
export function namespaceOf(name: string, labels: Readonly<Record<string, string>>): object {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

/** A VirtualService without retries to a Service, with a fault in its way where one is told. */
export function routeOf(namespace: string, name: string, fault?: object): object {
  const host = `${name}.${namespace}.svc.cluster.local`;
  const http = [{ route: [{ destination: { host } }], retries: { attempts: 0 }, ...(fault && { fault }) }];
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { namespace, name },
    spec: { hosts: [host], http },
  };
}

/** A Service of the bookshop. */
export function serviceOf(namespace: string, name: string): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace, name },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 9080, targetPort: 9080 }] },
  };
}
