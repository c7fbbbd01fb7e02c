import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { peerAuthentication } from "#api/istio/peer-authentication.ts";
import { command } from "#runtime/command.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { startDns } from "./dns.ts";
import { type Image, toolsImage } from "./image.ts";
import { startMesh, type TestMesh } from "./mesh.ts";
import { ClusterNetwork } from "./network.ts";
import { type KubernetesNode, startNode } from "./node.ts";
import { proxyImage } from "./proxy-image.ts";

const root = join(import.meta.dirname, "..", "..");

/** Milliseconds that a command may take on a busy machine. */
const patience = 200_000;
/** A program that answers and calls; its one file is read by Pods as `/program.ts`, too. */
export const program = join(root, "test", "agent", "program.ts");

/** A command line that is run somewhere; what it writes. */
export type Run = (argv: readonly string[]) => Promise<string>;

/** What a caller's calls came to since it began to count. */
export interface Calls {
  readonly begun: number;
  readonly ok: number;
  readonly failed: number;
  readonly seconds: number;
  readonly problems: readonly string[];
}

const asked = ["curl", "--silent", "--show-error", "--max-time", "10"] as const;

/** Asks one who calls how its calls went, from beside it. */
export async function callsOf(run: Run): Promise<Calls> {
  return JSON.parse(await run([...asked, "http://127.0.0.1:8080/calls"])) as Calls;
}

/** Has callers count anew. */
export async function forget(...callers: readonly Run[]): Promise<void> {
  await Promise.all(callers.map(async (run) => run([...asked, "http://127.0.0.1:8080/calls?forget"])));
}

/** Waits until calls are counted again without a failure. */
export async function areServed(what: string, caller: Run): Promise<void> {
  await eventually(what, async () => {
    await forget(caller);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { ok, failed } = await callsOf(caller);
    return ok > 10 && failed === 0;
  });
}

export const namespaceOf = (name: string, labels = {}): object => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});

export function serviceOf(namespace: string, name: string): object {
  const spec = { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }] };
  return { apiVersion: "v1", kind: "Service", metadata: { namespace, name }, spec };
}

/** What makes a Pod of containers. */
export function podOf(namespace: string, name: string, spec: object, metadata: object = {}): object {
  const labels = { app: name };
  const all = { terminationGracePeriodSeconds: 1, ...spec };
  return { apiVersion: "v1", kind: "Pod", metadata: { name, namespace, labels, ...metadata }, spec: all };
}

/**
 * A cluster of one node with a mesh, whose DaemonSet of agents, as `weft node-agent-objects` prints it, gives Pods their sidecars. Pods of
 * tests have `tools`: BusyBox, curl, Node and `/program.ts`.
 */
export class ManagedWorld implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  cluster!: Cluster;
  network!: ClusterNetwork;
  mesh!: TestMesh;
  node!: KubernetesNode;
  tools!: Image;

  static async start(name: string): Promise<ManagedWorld> {
    const world = new ManagedWorld();
    try {
      await world.#start(name);
    } catch (fault) {
      await world[Symbol.asyncDispose]();
      throw fault;
    }
    return world;
  }

  async #start(name: string): Promise<void> {
    const resources = this.#resources;
    this.network = resources.use(await ClusterNetwork.create(name));
    const marks = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/xtables/libxt_MARK.so`;
    const files = { "/usr/bin/node": process.execPath, "/program.ts": program, [marks]: marks };
    const [tools, weft] = await Promise.all([
      toolsImage("weft.dev/test/tools:1", ["curl", "iptables"], files),
      proxyImage("weft.dev/test/weft:1"),
    ]);
    this.tools = resources.use(tools);
    resources.use(weft);
    this.cluster = resources.use(await startCluster({ name: "one", network: this.network }));
    resources.use(await startDns(this.cluster));
    this.node = resources.use(await startNode(this.cluster, { name: "n1", images: [this.tools, weft] }));
    // Names for programs of the node, such as an agent that is one.
    writeFileSync(this.node.path("/etc/resolv.conf"), `nameserver ${this.cluster.dnsAddress}\n`);
    this.mesh = resources.use(await startMesh(this.cluster));
    const flags = ["--image", weft.name, "--image-pull-policy=Never", "--cluster", this.cluster.name];
    await this.kubectl("apply -f -", await command([join(root, "weft"), "node-agent-objects", ...flags]));
    await this.rolledOut();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }

  readonly kubectl = async (line: string | readonly string[], input = ""): Promise<string> => {
    const outcome = await this.cluster.kubectl(line, { input, patience });
    if (outcome.code !== 0) throw new Error(`kubectl ${String(line)}: ${outcome.stderr}`);
    return outcome.stdout.trim();
  };

  readonly apply = async (...objects: readonly object[]): Promise<string> =>
    this.kubectl("apply -f -", objects.map((object) => JSON.stringify(object)).join("\n---\n"));

  readonly fieldOf = async (namespace: string, pod: string, path: string): Promise<string> =>
    this.kubectl(`get pod -n ${namespace} ${pod} -o jsonpath=${path}`);

  readonly addressOf = async (namespace: string, pod: string): Promise<string> =>
    this.fieldOf(namespace, pod, "{.status.podIP}");

  /** Whether a Pod's traffic goes through its sidecar: a field of the condition that says it. */
  readonly captured = async (namespace: string, pod: string, field = "status"): Promise<string> =>
    this.fieldOf(namespace, pod, `{.status.conditions[?(@.type=="mesh.weft.dev/TrafficCaptured")].${field}}`);

  /** Runs command lines in a Pod. */
  readonly inPod =
    (namespace: string, pod: string, container?: string): Run =>
    async (argv) =>
      this.kubectl(["exec", "-n", namespace, pod, ...(container ? ["-c", container] : []), "--", ...argv]);

  /** Runs command lines beside the cluster, in its network. */
  readonly outside: Run = async (argv) => command(inside(namespacePath(this.network.outside), argv));

  /** A container of the image of tests. */
  readonly container = (name: string, argv: readonly string[], more: object = {}): object => ({
    name,
    image: this.tools.name,
    imagePullPolicy: "Never",
    command: argv,
    ...more,
  });

  /** A Pod that answers at 8080, and calls a URL 25 times a second where one is told. */
  programPod(namespace: string, name: string, call?: string): object {
    const argv = ["node", "/program.ts", ...(call === undefined ? [] : ["--call", call])];
    const more = {
      ports: [{ name: "http", containerPort: 8080 }],
      readinessProbe: { httpGet: { path: "/ready", port: "http" }, periodSeconds: 1, timeoutSeconds: 5 },
    };
    return podOf(namespace, name, {
      terminationGracePeriodSeconds: 2,
      containers: [this.container("program", argv, more)],
    });
  }

  /** Ids of the Envoys in the control groups of a Pod. */
  async proxiesOf(namespace: string, pod: string): Promise<readonly string[]> {
    const uid = await this.fieldOf(namespace, pod, "{.metadata.uid}");
    const line = `cat $(find /sys/fs/cgroup -path '*pod${uid}/weft-proxy/cgroup.procs') < /dev/null`;
    const found = await this.node.run(["sh", "-c", line]);
    const ids = [...new Set(found.split("\n").filter((id) => id !== ""))];
    const named = await Promise.all(
      ids.map(async (id) => [id, await this.node.run(["cat", `/proc/${id}/comm`])] as const),
    );
    return named.filter(([, name]) => name.startsWith("envoy")).map(([id]) => id);
  }

  /** Sets the mode of mutual TLS of the whole mesh, or of one namespace. */
  async setMode(mode: string, namespace = "istio-system"): Promise<void> {
    const policies = this.mesh.api.client.of(peerAuthentication);
    const at = { namespace, name: "default" };
    await policies.delete(at).catch(() => undefined);
    await policies.create({ metadata: at, spec: { mtls: { mode } } });
  }

  /** Waits until a Pod is ready and all of its connections go through its sidecar. */
  async joined(namespace: string, pod: string): Promise<void> {
    try {
      await this.kubectl(`wait pod -n ${namespace} ${pod} --for=condition=Ready --timeout=2m`);
      await eventually(`${pod} has joined`, async () => (await this.captured(namespace, pod)) === "True", 60_000);
    } catch (fault) {
      const told = await this.kubectl(`describe pod -n ${namespace} ${pod}`);
      throw new Error(`${told}\n${await this.agentLog()}`, { cause: fault });
    }
  }

  /** Fails with what the agent says, too. */
  async orLog<V>(what: Promise<V>): Promise<V> {
    return what.catch(async (fault: unknown) => {
      throw new Error(await this.agentLog(), { cause: fault });
    });
  }

  async agentLog(): Promise<string> {
    const line = "logs -n istio-system -l app.kubernetes.io/name=weft-agent --tail=40";
    const { stdout, stderr } = await this.cluster.kubectl(line, { patience });
    const files =
      "/var/lib/weft/node-agent/pods/*/containers/*/*/log /var/lib/weft/node-agent/pods/*/containers/*/*/errors";
    const proxies = await this.node.run(["sh", "-c", `tail -n 15 ${files} 2>&1`]).catch(String);
    return `${stdout}${stderr}\n${proxies}`;
  }

  /** The Pod of the node's agent. */
  async agentPod(): Promise<string> {
    return this.kubectl("get pods -n istio-system -l app.kubernetes.io/name=weft-agent -o name");
  }

  /** Takes the agent from the node; it is started again by `startAgent`. */
  async stopAgent(): Promise<void> {
    await this.#selectNodes({ "weft.dev/nowhere": "true" });
    await eventually("the agent is away", async () => (await this.agentPod()) === "", 120_000);
  }

  async startAgent(): Promise<void> {
    await this.#selectNodes({ "weft.dev/nowhere": null });
    await this.rolledOut();
  }

  async #selectNodes(nodeSelector: object): Promise<void> {
    const patch = JSON.stringify({ spec: { template: { spec: { nodeSelector } } } });
    await this.kubectl(["patch", "daemonset", "-n", "istio-system", "weft-node-agent", "-p", patch]);
  }

  /** Waits until the agent of the node is ready. */
  async rolledOut(): Promise<void> {
    await this.kubectl("rollout status daemonset/weft-node-agent -n istio-system --timeout=3m").catch(
      async (fault: unknown) => {
        const told = await this.kubectl("describe pods -n istio-system");
        throw new Error(`${told}\n${await this.agentLog()}`, { cause: fault });
      },
    );
  }
}
