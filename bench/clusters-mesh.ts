/** The production processes over clusters: the mesh's API server, and control planes that are started anew for each measurement. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { secret } from "#api/kubernetes/secret.ts";
import { cluster as clusterKind } from "#api/weft/cluster.ts";
import { mesh as meshKind } from "#api/weft/mesh.ts";
import { systemClock } from "#base/clock.ts";
import { freePort } from "#base/free-port.ts";
import { weftProgram } from "#cli/service.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { flags } from "../test/kubernetes/control-plane.ts";
import { Daemon, whileRunning } from "../test/kubernetes/daemon.ts";
import type { KwokCluster } from "./kwok-cluster.ts";
import { monotonicMs } from "./monotonic.ts";

/** A control plane that was just started. */
export interface StartedDiscovery extends AsyncDisposable {
  readonly daemon: Daemon;
  /** Loopback port on which it will serve xDS in plain text. */
  readonly port: number;
  /** When it was started, in milliseconds of the monotonic clock. */
  readonly startedAt: number;
  /** Waits until it serves. */
  serves(): Promise<void>;
}

/** A mesh over clusters. */
export class ClustersMesh implements AsyncDisposable {
  readonly server: Daemon;
  readonly #folder: string;
  readonly #resources: AsyncDisposableStack;
  #started = 0;

  private constructor(server: Daemon, folder: string, resources: AsyncDisposableStack) {
    this.server = server;
    this.#folder = folder;
    this.#resources = resources;
  }

  /** Starts its API server, in which the clusters are members by kubeconfigs. */
  static async start(members: readonly KwokCluster[]): Promise<ClustersMesh> {
    await using starting = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), "weft-bench-clusters-"));
    starting.defer(() => rmSync(folder, { recursive: true, force: true }));
    mkdirSync(join(folder, "run"), { mode: 0o700 });
    const places = { store: join(folder, "store.db"), "run-dir": join(folder, "run"), "mesh-port": 0 };
    const argv = [weftProgram, "server", ...flags(places)] as const;
    const server = starting.use(new Daemon({ name: "weft server", argv, log: join(folder, "server.log") }).start());
    const url = `unix://${join(folder, "run", "api-mesh.sock")}`;
    using connection = new Connection({ url }, { clock: systemClock });
    const client = new Client(connection);
    await whileRunning([server], "the mesh's API is ready", async () =>
      client.bytes({ method: "GET", path: "/readyz" }),
    );
    await client.of(meshKind).create({ metadata: { name: "default" }, spec: {} });
    for (const { name, cluster } of members) {
      const at = { namespace: "istio-system", name: `cluster-${name}` };
      const kubeconfig = Buffer.from(cluster.kubeconfig()).toString("base64");
      await client.of(secret).create({ metadata: at, type: "Opaque", data: { kubeconfig } });
      await client.of(clusterKind).create({ metadata: { name }, spec: { network: "main", kubeconfigSecret: at } });
    }
    return new ClustersMesh(server, folder, starting.move());
  }

  /** Starts a control plane. */
  async discovery(): Promise<StartedDiscovery> {
    this.#started += 1;
    const port = await freePort();
    const log = join(this.#folder, `discovery-${this.#started}.log`);
    const places = {
      "mesh-api": `unix://${join(this.#folder, "run", "api-mesh.sock")}`,
      "status-socket": join(this.#folder, "run", "discovery.sock"),
      "xds-port": port,
    };
    const argv = [weftProgram, "discovery", ...flags(places)] as const;
    const startedAt = monotonicMs();
    const daemon = new Daemon({ name: "weft discovery", argv, log }).start();
    const serves = async (): Promise<void> =>
      whileRunning([this.server, daemon], "the control plane serves", () =>
        readFileSync(log, "utf8").includes("serving proxies"),
      );
    return { daemon, port, startedAt, serves, [Symbol.asyncDispose]: async () => daemon.stop("SIGTERM") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
