import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { weftProgram } from "#cli/service.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { Api } from "../playground/cluster.ts";
import type { Cluster } from "./cluster.ts";
import { flags } from "./control-plane.ts";
import { Daemon, whileRunning } from "./daemon.ts";
import { ports } from "./mesh.ts";
import type { ClusterNetwork, Host } from "./network.ts";
import { folderPrefix } from "./run.ts";

/** How a command ended. */
export interface Ended {
  readonly out: string;
  readonly code: number;
}

/** Runs `weft cluster` with words that have no blanks; killed once its output has a text, where one is given. */
export function weftCluster(command: string, kubeconfig: string, killedAt?: string): Promise<Ended> {
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  return new Promise((resolve) => {
    const child = execFile(weftProgram, ["cluster", ...command.split(" ")], { env }, (_, stdout, stderr) => {
      resolve({ out: stdout + stderr, code: child.exitCode ?? -1 });
    });
    let seen = "";
    child.stdout?.on("data", (text: string) => {
      seen += text;
      if (killedAt !== undefined && seen.includes(killedAt)) child.kill("SIGKILL");
    });
  });
}

/** Port at which API servers of members reach the mesh's. */
const membersPort = 15_443;

/**
 * A mesh without clusters, which join it as people's do: by `weft cluster add`. Its API server and its control plane run on a host of
 * the clusters' network.
 */
export class JoinedMesh implements AsyncDisposable {
  readonly host: Host;
  readonly folder: string;
  /** The mesh's own API. */
  readonly api: Api;
  readonly server: Daemon;
  readonly discovery: Daemon;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Pick<JoinedMesh, "host" | "folder" | "api" | "server" | "discovery">,
    resources: AsyncDisposableStack,
  ) {
    this.host = parts.host;
    this.folder = parts.folder;
    this.api = parts.api;
    this.server = parts.server;
    this.discovery = parts.discovery;
    this.#resources = resources;
  }

  static async start(network: ClusterNetwork): Promise<JoinedMesh> {
    await using starting = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}joined-`));
    starting.defer(() => rmSync(folder, { recursive: true, force: true }));
    const host = await network.add("the mesh's control plane");
    const daemon = (name: string, values: Readonly<Record<string, string | number>>): Daemon => {
      const argv = inside(namespacePath(host.namespace), [weftProgram, name, ...flags(values)]);
      return starting.use(new Daemon({ name: `weft ${name}`, argv, log: join(folder, `${name}.log`) }).start());
    };
    const socket = join(folder, "api-mesh.sock");
    const server = daemon("server", {
      store: join(folder, "store.db"),
      "run-dir": folder,
      "mesh-port": 0,
      "members-address": `0.0.0.0:${membersPort}`,
      "members-host": host.address,
    });
    const api = new Api({ url: `unix://${socket}` });
    starting.defer(() => api.connection[Symbol.dispose]());
    const context = {
      name: "mesh",
      cluster: "mesh",
      user: "mesh",
      namespace: "default",
      server: { url: `unix://${socket}` },
    };
    writeFileSync(join(folder, "kubeconfig"), formatKubeconfig([context]));
    await whileRunning([server], "the mesh's API is ready", async () => {
      const answer = await api.connection.send({ method: "GET", path: "/readyz" }).catch(() => undefined);
      return answer?.status === 200;
    });
    const discovery = daemon("discovery", {
      "mesh-api": `unix://${socket}`,
      "tls-address": `0.0.0.0:${ports.xds}`,
      "webhook-address": `0.0.0.0:${ports.webhooks}`,
      "members-host": host.address,
      "status-socket": join(folder, "discovery.sock"),
    });
    const mesh = new JoinedMesh({ host, folder, api, server, discovery }, starting.move());
    await mesh.serves();
    return mesh;
  }

  /** Waits until the control plane serves proxies and webhooks. */
  async serves(): Promise<void> {
    const both = [this.server, this.discovery];
    await whileRunning(both, "the control plane serves", () => this.discovery.log.includes("serving proxies"));
  }

  /** Runs `weft cluster` with words that have no blanks; killed once its output has a text, where one is given. */
  weft(command: string, killedAt?: string): Promise<Ended> {
    return weftCluster(command, join(this.folder, "kubeconfig"), killedAt);
  }

  /** Runs `weft cluster`, which must succeed. */
  async succeeds(command: string): Promise<string> {
    const { out, code } = await this.weft(command);
    if (code === 0) return out;
    const logs = `${this.server.log.slice(-3000)}\n${this.discovery.log.slice(-3000)}`;
    throw new Error(`weft cluster ${command} ended with ${code}:\n${out}\n${logs}`);
  }

  /** The file of an administrator's kubeconfig for a cluster. */
  kubeconfigOf(cluster: Cluster): string {
    const file = join(this.folder, `${cluster.name}.kubeconfig`);
    writeFileSync(file, cluster.kubeconfig());
    return file;
  }

  /** Lets a cluster join; `more` is further flags. */
  async add(cluster: Cluster, more = ""): Promise<string> {
    const own = `--kubeconfig ${this.kubeconfigOf(cluster)} --server ${cluster.internalUrl}`;
    return this.succeeds(`add ${cluster.name} ${own}${more && ` ${more}`}`);
  }

  /** Takes a cluster out; `more` is further flags. */
  async remove(cluster: Cluster, more = ""): Promise<string> {
    return this.succeeds(`remove ${cluster.name} --kubeconfig ${this.kubeconfigOf(cluster)}${more && ` ${more}`}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
