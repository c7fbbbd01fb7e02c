import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { freePort } from "#base/free-port.ts";
import type { ServerAddress } from "#kube/connection.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { command } from "#runtime/command.ts";
import { startForwarder, stopForwarder } from "#runtime/forwarder.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { Kubectl, kubectlPath, type Outcome, type RunOptions } from "../kubectl/kubectl.ts";
import { Api } from "../playground/cluster.ts";
import { type ControlPlane, serviceAddress, startControlPlane } from "./control-plane.ts";
import { admin, type Caller, Credentials } from "./credentials.ts";
import { Daemon, whileRunning } from "./daemon.ts";
import type { ClusterNetwork, Host } from "./network.ts";
import { folderPrefix } from "./run.ts";

/** What a cluster is made of. */
export interface ClusterOptions {
  /** Short; tells clusters of one test apart. */
  readonly name: string;
  /** Where its nodes will be. Without one, its control plane is on the machine's loopback and it can have no nodes. */
  readonly network?: ClusterNetwork;
  /** Addresses of Pods, 10.64.0.0/16 unless told; each node gets a /24 of them. */
  readonly pods?: string;
  /** Addresses of Services, 10.96.0.0/16 unless told. */
  readonly services?: string;
  /** More flags of kube-apiserver, and of kube-controller-manager. */
  readonly apiServer?: readonly string[];
  readonly controllerManager?: readonly string[];
}

interface Parts {
  readonly name: string;
  readonly folder: string;
  readonly network: ClusterNetwork | undefined;
  readonly host: Host | undefined;
  readonly services: string;
  readonly credentials: Credentials;
  readonly controlPlane: ControlPlane;
  /** Port of the machine's loopback that leads to the API server. */
  readonly port: number;
}

/** A port of the machine's loopback that leads into a cluster. */
export interface PortForward extends AsyncDisposable {
  readonly port: number;
}

const kubectlVersion = "1.36.4";

/** A Kubernetes cluster: a real control plane, whose nodes are started apart from it (`startNode`). */
export class Cluster implements AsyncDisposable {
  readonly name: string;
  /** Holds everything of the cluster. Logs are `PROGRAM.log` in it. */
  readonly folder: string;
  readonly network: ClusterNetwork | undefined;
  readonly credentials: Credentials;
  /** Its processes, which tests may stop and start again. */
  readonly controlPlane: ControlPlane;
  /** The API as nodes and Pods reach it. */
  readonly internalUrl: string;
  /** Objects, as one who may do everything. */
  readonly api: Api;
  /** Address of the Service of its name server (`startDns`). */
  readonly dnsAddress: string;
  /** The host of its control plane, where it has a network. */
  readonly host: Host | undefined;
  readonly #port: number;
  readonly #kubectl: Kubectl;
  readonly #resources: AsyncDisposableStack;

  constructor(parts: Parts, resources: AsyncDisposableStack) {
    const { name, folder, network, host, credentials, controlPlane, port } = parts;
    this.name = name;
    this.folder = folder;
    this.network = network;
    this.credentials = credentials;
    this.controlPlane = controlPlane;
    this.internalUrl = `https://${host?.address ?? "127.0.0.1"}:${controlPlane.apiPort}`;
    this.host = host;
    this.dnsAddress = serviceAddress(parts.services, 10);
    this.#port = port;
    this.#resources = resources;
    this.api = new Api(this.address());
    resources.defer(() => this.api.connection[Symbol.dispose]());
    this.#kubectl = resources.use(new Kubectl(kubectlPath(kubectlVersion), new Map([[name, this.kubeconfig()]])));
  }

  /** The API server as this process reaches it, with a new certificate of a caller. */
  address(caller: Caller = admin): ServerAddress {
    return {
      url: `https://127.0.0.1:${this.#port}`,
      ca: this.credentials.authority,
      ...this.credentials.issue(caller),
    };
  }

  /** A kubeconfig, as YAML, with which programs of this machine reach the API server. */
  kubeconfig(caller: Caller = admin): string {
    const { name } = this;
    return formatKubeconfig([
      { name, cluster: name, user: caller.name, namespace: "default", server: this.address(caller) },
    ]);
  }

  /** Runs kubectl as one who may do everything. Arguments are told apart by blanks. */
  async kubectl(args: string | readonly string[], options?: RunOptions): Promise<Outcome> {
    return this.#kubectl.run(this.name, typeof args === "string" ? args.split(" ") : args, options);
  }

  /** Leads a port of the machine's loopback to a port of a Pod or a Service (`pod/NAME`, `service/NAME`), by kubectl. */
  async portForward(namespace: string, target: string, port: number): Promise<PortForward> {
    const local = await freePort();
    const name = `port-forward-${local}`;
    const config = this.credentials.file("port-forward.kubeconfig");
    writeFileSync(config, this.kubeconfig(), { mode: 0o600 });
    const command = ["port-forward", "--namespace", namespace, target, `${local}:${port}`];
    const argv = [kubectlPath(kubectlVersion), "--kubeconfig", config, ...command] as const;
    const daemon = new Daemon({ name, argv, log: join(this.folder, `${name}.log`) }).start();
    try {
      await whileRunning([daemon], `port ${port} of ${target} is forwarded`, () =>
        daemon.log.includes("Forwarding from"),
      );
    } catch (fault) {
      await daemon.stop();
      throw fault;
    }
    return { port: local, [Symbol.asyncDispose]: () => daemon.stop() };
  }

  /** Calls etcd's JSON gateway, such as `/v3/kv/compaction`. */
  async etcd(path: string, body: object): Promise<string> {
    const url = this.controlPlane.etcdUrl + path;
    const argv = ["curl", "--fail-with-body", "--silent", "--show-error", "--data", JSON.stringify(body), url] as const;
    return command(this.host === undefined ? argv : inside(namespacePath(this.host.namespace), argv));
  }

  /** Waits until the API server is ready. */
  async serves(): Promise<void> {
    const { etcd, apiServer } = this.controlPlane;
    await whileRunning([etcd, apiServer], `the API server of ${this.name} is ready`, async () => {
      const { status } = await this.api.connection.send({ method: "GET", path: "/readyz" });
      return status === 200;
    });
  }

  /** Waits until the API server is ready, and until Pods can be made in the namespace `default`. */
  async ready(): Promise<void> {
    await this.serves();
    const { etcd, apiServer, controllerManager, scheduler } = this.controlPlane;
    const daemons = [etcd, apiServer, controllerManager, scheduler];
    const accounts = this.api.client.of(serviceAccount);
    await whileRunning(daemons, `${this.name} has a default service account`, () =>
      accounts.find({ namespace: "default", name: "default" }),
    );
  }

  /** Ends all of its processes. Its nodes must have ended before. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Starts a cluster without nodes and waits until it is ready, which takes some ten seconds. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { name, network, pods = "10.64.0.0/16", services = "10.96.0.0/16" } = options;
  const { apiServer = [], controllerManager = [] } = options;
  await using starting = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}${name}-`));
  starting.defer(() => rmSync(folder, { recursive: true, force: true }));
  const host = await network?.add(`control plane of ${name}`);
  const credentials = new Credentials(join(folder, "credentials"));
  const site = { folder, credentials, host, pods, services, apiServer, controllerManager };
  const controlPlane = await startControlPlane(site);
  for (const part of [controlPlane.etcd, controlPlane.apiServer]) starting.use(part);
  for (const part of [controlPlane.controllerManager, controlPlane.scheduler]) starting.use(part);
  const port = host === undefined ? controlPlane.apiPort : await freePort();
  if (host !== undefined) {
    const state = join(folder, "forwarder");
    const here = { hostNetwork: "/proc/self/ns/net", hostAddress: "127.0.0.1", hostPort: port };
    const there = { network: namespacePath(host.namespace), address: host.address, port: controlPlane.apiPort };
    await startForwarder({ state, ...here, ...there });
    starting.defer(() => stopForwarder(state));
  }
  const cluster = new Cluster(
    { name, folder, network, host, services, credentials, controlPlane, port },
    starting.move(),
  );
  try {
    await cluster.serves();
    controlPlane.controllerManager.start();
    controlPlane.scheduler.start();
    await cluster.ready();
  } catch (fault) {
    await cluster[Symbol.asyncDispose]();
    throw fault;
  }
  return cluster;
}
