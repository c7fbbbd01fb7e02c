import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { node as nodeKind, type Node } from "#api/kubernetes/node.ts";
import { command } from "#runtime/command.ts";
import { identityOf, isAlive } from "#runtime/identity.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { CgroupTree } from "./cgroups.ts";
import type { Cluster } from "./cluster.ts";
import { flags, kubernetesProgram } from "./control-plane.ts";
import { criAnswers } from "./cri.ts";
import { Daemon, whileRunning } from "./daemon.ts";
import type { Image } from "./image.ts";
import type { Host } from "./network.ts";
import { cniConfiguration, containerdConfiguration, kubeletConfiguration, proxyConfiguration } from "./node-files.ts";
import { cgroupPrefix } from "./run.ts";

/** What a node is made of. */
export interface NodeOptions {
  readonly name: string;
  /** What its Pods can be made of; the first one also holds Pods' namespaces open (Kubernetes' "pause"). */
  readonly images: readonly [Image, ...Image[]];
  /** Labels such as `topology.kubernetes.io/zone`. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Where the first process of a node keeps it. */
interface Machine {
  readonly folder: string;
  readonly host: Host;
  readonly init: Daemon;
  /** Id of the node's first process, as the machine has it. */
  readonly pid: number;
}

/** Runs a command line inside of a node: its network, its processes, its files. */
function within(pid: number, argv: readonly string[]): [string, ...string[]] {
  return ["nsenter", `--target=${pid}`, "--mount", "--uts", "--net", "--pid", "--", ...argv];
}

/**
 * Makes the namespaces of a node. All of its processes and mounts end with its first process, which ends with ours.
 */
async function startMachine(cluster: Cluster, name: string, host: Host): Promise<Machine> {
  const folder = join(cluster.folder, name);
  for (const part of ["var/lib/containerd", "var/lib/kubelet", "var/log", "var/tmp", "opt/cni/bin", "etc", "etc-work"])
    mkdirSync(join(folder, part), { recursive: true });
  for (const plugin of readdirSync("/usr/lib/cni"))
    symlinkSync(join("/usr/lib/cni", plugin), join(folder, "opt/cni/bin", plugin));
  const unshare = ["unshare", "--mount", "--propagation=private", "--uts", "--pid", "--fork", "--kill-child"];
  const script = join(import.meta.dirname, "node-init.sh");
  const argv = [...unshare, "--mount-proc", "sh", script, folder, name];
  const init = new Daemon({
    name: `${name}'s first process`,
    argv: inside(namespacePath(host.namespace), argv),
    log: join(folder, "init.log"),
  }).start();
  try {
    await whileRunning([init], `${name} has its namespaces`, () => existsSync(join(folder, "initialised")));
    const pid = Number(readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, "utf8").trim());
    await command(within(pid, ["sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"]));
    return { folder, host, init, pid };
  } catch (fault) {
    await init.stop();
    throw fault;
  }
}

/** A node of a cluster: containerd, kubelet and kube-proxy in namespaces of their own, whose Pods have real containers. */
export class KubernetesNode implements AsyncDisposable {
  readonly name: string;
  readonly address: string;
  /** Its network namespace's name. */
  readonly namespace: string;
  /** Takes its files, such as `kubelet.log`. */
  readonly folder: string;
  readonly containerd: Daemon;
  readonly kubelet: Daemon;
  readonly proxy: Daemon;
  readonly #machine: Machine;
  readonly #cgroups: CgroupTree;

  constructor(cluster: Cluster, { name, images, labels = {} }: NodeOptions, machine: Machine, cgroups: CgroupTree) {
    const { folder, host } = machine;
    this.name = name;
    this.address = host.address;
    this.namespace = host.namespace;
    this.folder = folder;
    this.#machine = machine;
    this.#cgroups = cgroups;
    const { credentials, internalUrl, dnsAddress } = cluster;
    const file = (path: string, text: string): string => {
      writeFileSync(join(folder, path), text);
      return join(folder, path);
    };
    credentials.server(`${name}-kubelet`, [name, host.address]);
    const user = { name: `system:node:${name}`, groups: ["system:nodes"] };
    const kubeconfig = credentials.kubeconfig(`${name}-kubelet`, internalUrl, user);
    const proxyConfig = credentials.kubeconfig(`${name}-proxy`, internalUrl, { name: "system:kube-proxy" });
    const config = file(
      "kubelet.json",
      kubeletConfiguration({ credentials, name, cgroup: cgroups.path, dns: dnsAddress }),
    );
    const kubelet = {
      config,
      kubeconfig,
      "hostname-override": name,
      "node-ip": host.address,
      "node-labels": Object.entries(labels)
        .map((pair) => pair.join("="))
        .join(","),
    };
    this.containerd = this.#daemon("containerd", [
      "containerd",
      "--config",
      file("containerd.toml", containerdConfiguration(images[0].name)),
    ]);
    this.kubelet = this.#daemon("kubelet", [kubernetesProgram(), "kubelet", ...flags(kubelet)]);
    const proxy = file("proxy.json", proxyConfiguration(proxyConfig, name));
    this.proxy = this.#daemon("kube-proxy", [kubernetesProgram(), "kube-proxy", ...flags({ config: proxy })]);
  }

  /** A command line that runs another one inside the node: its network, its processes, its files. */
  inside(argv: readonly string[]): [string, ...string[]] {
    return within(this.#machine.pid, argv);
  }

  /** Runs a command inside the node to its end. */
  async run(argv: readonly string[]): Promise<string> {
    return command(this.inside(argv));
  }

  /** Starts those of its programs that do not run, in their order. */
  async start(): Promise<void> {
    this.containerd.start();
    const answers = async (): Promise<true> => criAnswers(this.path("/run/containerd/containerd.sock"));
    // Kubelet ends when it has no container runtime.
    await whileRunning([this.containerd], `containerd of ${this.name} answers kubelets`, answers);
    this.kubelet.start();
    this.proxy.start();
  }

  /** Makes an image known to the node. */
  async load({ archive }: Image): Promise<void> {
    await this.run(["ctr", "--namespace=k8s.io", "images", "import", archive]);
  }

  /** Path of one of the node's files as the machine has it. */
  path(file: string): string {
    return `/proc/${this.#machine.pid}/root${file}`;
  }

  /** Ends all that runs on the node at once, as a loss of power would. The Node object stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    const first = identityOf(this.#machine.pid);
    // What runs inside ends with the first process; those that entered the node for them follow.
    await this.#machine.init.stop();
    if (first !== undefined) await eventually(`${this.name} has ended`, () => !isAlive(first), 60_000);
    for (const daemon of [this.kubelet, this.proxy, this.containerd]) await daemon.stop();
    await this.#cgroups[Symbol.asyncDispose]();
  }

  #daemon(name: string, argv: readonly string[]): Daemon {
    // The program is the child of what entered the namespaces for it, and ends with that.
    const bound = this.inside(["setpriv", "--pdeathsig", "KILL", "--", ...argv]);
    const log = join(this.folder, `${name}.log`);
    return new Daemon({ name: `${name} of ${this.name}`, argv: bound, log, forks: true });
  }
}

/** Gives a node its part of the Pod network, once the cluster has told which. */
async function joinPodNetwork(cluster: Cluster, node: KubernetesNode): Promise<void> {
  const nodes = cluster.api.client.of<Node & { readonly spec?: { readonly podCIDR?: string } }>(nodeKind);
  const daemons = [node.containerd, node.kubelet, node.proxy, cluster.controlPlane.apiServer];
  let range: string | undefined;
  await whileRunning(daemons, `${node.name} has a range of Pod addresses`, async () => {
    range = (await nodes.find({ name: node.name }))?.spec?.podCIDR;
    return range;
  });
  await cluster.network?.route(range!, node.address);
  writeFileSync(node.path("/etc/cni/net.d/10-pods.conflist"), cniConfiguration(range!));
  await whileRunning(daemons, `${node.name} is Ready`, async () => {
    const { status } = await nodes.get({ name: node.name });
    return status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
  });
}

/**
 * Adds a node to a cluster that has a network, and waits until it is Ready.
 * @throws Error with the ends of its logs.
 */
export async function startNode(cluster: Cluster, options: NodeOptions): Promise<KubernetesNode> {
  if (cluster.network === undefined) throw new Error(`the cluster ${cluster.name} has no network for nodes`);
  const host = await cluster.network.add(`${options.name} of ${cluster.name}`);
  const machine = await startMachine(cluster, options.name, host);
  const node = new KubernetesNode(cluster, options, machine, new CgroupTree(`${cgroupPrefix}${machine.pid}`));
  try {
    await node.start();
    for (const image of options.images) await node.load(image);
    await joinPodNetwork(cluster, node);
  } catch (fault) {
    await node[Symbol.asyncDispose]();
    throw fault;
  }
  return node;
}
