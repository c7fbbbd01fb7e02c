import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { namespace } from "#api/kubernetes/namespace.ts";
import { cluster as clusterKind } from "#api/weft/cluster.ts";
import { systemClock } from "#base/clock.ts";
import { injectionOf } from "#cli/cluster/injection.ts";
import { weftProgram } from "#cli/service.ts";
import { Reach } from "#controllers/reach/reach.ts";
import type { ProxyObject } from "#discovery/proxy-object.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { Api } from "../playground/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { Balancer } from "./balancer.ts";
import type { Cluster } from "./cluster.ts";
import { flags } from "./control-plane.ts";
import { admin } from "./credentials.ts";
import { Daemon, whileRunning } from "./daemon.ts";
import { Etcd } from "./etcd.ts";
import { ports } from "./mesh.ts";
import type { Host } from "./network.ts";
import { folderPrefix } from "./run.ts";

/** A `weft server` or a `weft discovery`, and a client of what it serves. */
export interface Replica {
  readonly daemon: Daemon;
  readonly client: Client;
}

/** A control plane for proxies, on a host of its own. */
export interface Discovery extends Replica {
  readonly host: Host;
}

const names = ["a", "b"] as const;

/**
 * A mesh over one cluster without a single process that all of it needs: an etcd of three members, two API servers behind one address,
 * and two control planes behind the Service `istio-system/istiod`, each on a host of its own.
 */
export class ReplicatedMesh implements AsyncDisposable {
  readonly etcd: Etcd;
  readonly servers: readonly Replica[];
  readonly discoveries: readonly Discovery[];
  /** The mesh's API, at whichever server answers. */
  readonly api: Api;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Pick<ReplicatedMesh, "etcd" | "servers" | "discoveries" | "api">,
    resources: AsyncDisposableStack,
  ) {
    this.etcd = parts.etcd;
    this.servers = parts.servers;
    this.discoveries = parts.discoveries;
    this.api = parts.api;
    this.#resources = resources;
  }

  static async start(cluster: Cluster): Promise<ReplicatedMesh> {
    const { network, name, credentials, internalUrl } = cluster;
    if (!network) throw new Error(`the cluster ${name} has no network`);
    await using starting = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}replicas-`));
    starting.defer(() => rmSync(folder, { recursive: true, force: true }));
    const daemon = (id: string, argv: readonly string[]): Daemon =>
      starting.use(
        new Daemon({ name: id, argv: argv as [string, ...string[]], log: join(folder, `${id}.log`) }).start(),
      );
    const clientOf = (socket: string): Client =>
      new Client(starting.use(new Connection({ url: `unix://${socket}` }, { clock: systemClock })));

    const etcd = starting.use(await Etcd.start({ members: 3 }));
    const sockets = names.map((each) => join(folder, each, "api-mesh.sock"));
    const servers = names.map((each, index) => {
      const runDir = join(folder, each);
      mkdirSync(runDir, { mode: 0o700 });
      const own = { store: etcd.url("/meshes/shop"), "run-dir": runDir, "state-dir": join(runDir, "state") };
      const argv = [weftProgram, "server", ...flags({ ...own, "mesh-port": 0 })];
      return { daemon: daemon(`server-${each}`, argv), client: clientOf(sockets[index]!) };
    });
    const shared = join(folder, "api.sock");
    starting.use(await Balancer.listen(shared, sockets));
    const api = new Api({ url: `unix://${shared}` });
    starting.defer(() => api.connection[Symbol.dispose]());
    for (const server of servers) await serves(server, "/readyz");
    await api.client.of(clusterKind).create({ metadata: { name }, spec: { server: internalUrl } });

    const hosts = [await network.add("control plane a"), await network.add("control plane b")];
    const kubeconfig = credentials.kubeconfig("weft-discovery", internalUrl, admin);
    const discoveries = hosts.map((host, index) => {
      const replica = names[index]!;
      const socket = join(folder, replica, "status.sock");
      const values = {
        replica,
        "mesh-api": `unix://${shared}`,
        "cluster-api": `${name}=${kubeconfig}`,
        "tls-address": `0.0.0.0:${ports.xds}`,
        "webhook-address": `0.0.0.0:${ports.webhooks}`,
        "status-socket": socket,
      };
      const reached = hosts.map(({ address }) => `--members-host=${address}`);
      const argv = inside(namespacePath(host.namespace), [weftProgram, "discovery", ...flags(values), ...reached]);
      return { host, daemon: daemon(`discovery-${replica}`, argv), client: clientOf(socket) };
    });
    const mesh = new ReplicatedMesh({ etcd, servers, discoveries, api }, starting.move());
    for (const each of discoveries) await mesh.takesProxies(each);
    await mesh.#inject(cluster);
    return mesh;
  }

  /** Has the cluster's Pods injected by both control planes, as a join has. */
  async #inject({ name, api: { client } }: Cluster): Promise<void> {
    const injected = { cluster: name, network: "main" };
    const injection = await eventually("the control planes say how they are reached", async () => {
      const found = await injectionOf(injected, { controlPlane: true }, this.api.client);
      return found && "objects" in found ? found : undefined;
    });
    await client.of(namespace).create({ metadata: { name: "istio-system" } });
    const reach = new Reach(client, systemClock);
    await reach.make(injection.objects);
    const { signal } = new AbortController();
    await reach.becomesAsked(injection.revisions, { limitMs: 60_000, told: () => undefined, signal });
  }

  /** Waits until a server answers. */
  async answers(server: Replica): Promise<void> {
    await serves(server, "/readyz");
  }

  /** Waits until a control plane serves proxies: its API of proxies opens last. */
  async takesProxies(discovery: Discovery): Promise<void> {
    await serves(discovery, "/metrics");
  }

  /**
   * Names of the proxies that a control plane serves; none while it does not answer. Others of which it has heard lately, and which
   * have moved, are in its list too, without a stream.
   */
  async proxiesOf({ client }: Replica): Promise<readonly string[]> {
    const path = "/apis/status.mesh.weft.dev/v1alpha1/proxies";
    const { items } = await client
      .json<{ items: readonly ProxyObject[] }>({ method: "GET", path, timeoutMs: 2_000 })
      .catch(() => ({ items: [] }));
    return items.filter(({ status }) => status.connectedAt !== undefined).map(({ metadata }) => metadata.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

async function serves({ daemon, client }: Replica, path: string): Promise<void> {
  await whileRunning([daemon], `${daemon.name} serves`, async () => {
    await client.bytes({ method: "GET", path, timeoutMs: 2_000 });
    return true;
  });
}
