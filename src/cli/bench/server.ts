import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { freePort } from "#base/free-port.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { command } from "#runtime/command.ts";
import { waitUntil } from "../wait.ts";
import { flagArgs, Service, weftService } from "../service.ts";
import { benchCluster, type BenchScale, podRange, serviceRange } from "./scale.ts";

/** What is told of a server that runs, as JSON. */
export interface BenchInfo {
  /** The root of its process tree: API server, store and control plane are children. */
  readonly pid: number;
  /** Where xDS is served in plain text, `127.0.0.1:15010`. */
  readonly ads: string;
  /** A kubeconfig with the contexts `mesh` (Istio's kinds; the current one) and `main` (Services and endpoints). */
  readonly kubeconfig: string;
}

const startLimitMs = 60_000;
const graceMs = 5_000;

/** Server and control plane over a mesh of a size, in a folder of their own; disposing ends and removes all. */
export class BenchServer implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #scale: BenchScale;
  readonly #adsPort: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
  readonly #services: Service[] = [];
  readonly #clients = new Map<string, Client>();
  /** How a child ended that should not have. */
  #failed: string | undefined;

  constructor(scale: BenchScale, adsPort: number, clock: Clock) {
    this.#scale = scale;
    this.#adsPort = adsPort;
    this.#clock = clock;
  }

  /**
   * Starts all, and returns when the control plane has the whole mesh.
   * @param say told each step.
   * @throws WeftError `Unavailable` when something does not start in time; its message ends with the log.
   */
  async start(say: (step: string) => void, signal: AbortSignal): Promise<BenchInfo> {
    const ports = { mesh: await freePort(), [benchCluster]: await freePort() };
    mkdirSync(this.#path("run"), { mode: 0o700 });
    say("starting the API server");
    const places = { store: this.#path("store.db"), "run-dir": this.#path("run"), "mesh-port": String(ports.mesh) };
    const embedded = `${benchCluster},pods=${podRange},services=${serviceRange},port=${ports[benchCluster]}`;
    this.#run("server", ["server"], flagArgs({ ...places, embedded }));
    for (const name of ["mesh", benchCluster])
      await this.#answers(`the API of ${name}`, this.#socketUrl(name), "/readyz", signal);
    say(`creating ${this.#scale.services} services in ${this.#scale.namespaces} namespaces`);
    await this.#seed(signal);
    say("starting the control plane");
    const statusSocket = this.#path("run/discovery.sock");
    const sockets = { "mesh-api": this.#socketUrl("mesh"), "status-socket": statusSocket };
    this.#run("discovery", ["discovery"], flagArgs({ ...sockets, "xds-port": String(this.#adsPort) }));
    await this.#answers("the control plane", `unix://${statusSocket}`, "/metrics", signal);
    return { pid: process.pid, ads: `127.0.0.1:${this.#adsPort}`, kubeconfig: this.#writeKubeconfig(ports) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of this.#services.toReversed()) await service.stop(graceMs);
    for (const client of this.#clients.values()) client.connection[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #socketUrl(endpoint: string): string {
    return `unix://${this.#path(`run/api-${endpoint}.sock`)}`;
  }

  #client(url: string): Client {
    const client = this.#clients.get(url) ?? new Client(new Connection({ url }, { clock: this.#clock }));
    this.#clients.set(url, client);
    return client;
  }

  #run(name: string, ...args: readonly (readonly string[])[]): void {
    const log = this.#path(`${name}.log`);
    const service = new Service(weftService(name, args.flat(), log), this.#clock, (_service, event) => {
      if (event !== "started") this.#failed = `${name} ${event}: ${lastLine(log)}`;
    });
    this.#services.push(service);
    service.start();
  }

  /** Waits until an API answers a request. */
  async #answers(what: string, url: string, path: string, signal: AbortSignal): Promise<void> {
    const wait = { what: `${what} answers`, limitMs: startLimitMs, hint: "is the machine busy?" };
    await waitUntil(wait, this.#clock, signal, async () => {
      // A child that ends is started again, which would only hide the reason.
      if (this.#failed !== undefined) throw new WeftError("Unavailable", this.#failed);
      try {
        await this.#client(url).bytes({ method: "GET", path, timeoutMs: 2000 });
        return true;
      } catch {
        return false;
      }
    });
  }

  /** In a process of its own, that what it takes is not counted among what serving takes. */
  async #seed(signal: AbortSignal): Promise<void> {
    const apis = { "mesh-api": this.#socketUrl("mesh"), "cluster-api": this.#socketUrl(benchCluster) };
    const { services, namespaces, sidecars } = this.#scale;
    const size = { services: String(services), namespaces: String(namespaces), sidecars: String(sidecars) };
    const { command: program, args } = weftService("seed", ["bench", "seed", ...flagArgs({ ...apis, ...size })], "");
    await command([program, ...args], { signal });
  }

  #writeKubeconfig(ports: Readonly<Record<string, number>>): string {
    const contexts = Object.entries(ports).map(([name, port]) => ({
      name,
      cluster: name,
      user: "weft",
      namespace: "ns-0",
      server: { url: `http://127.0.0.1:${port}` },
    }));
    const file = this.#path("kubeconfig");
    writeFileSync(file, formatKubeconfig(contexts), { mode: 0o600 });
    return file;
  }
}

function lastLine(file: string): string {
  return readFileSync(file, "utf8").trimEnd().split("\n").at(-1) ?? "";
}
