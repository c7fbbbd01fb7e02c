import { mkdirSync, openSync } from "node:fs";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { ensureFabric } from "#runtime/fabric.ts";
import { type ProcessIdentity, identityOf } from "#runtime/identity.ts";
import { createOutside, outsideName } from "#runtime/outside.ts";
import { makeCredentials } from "./credentials.ts";
import { type DemoPorts, type Layout, demoClusters, endpoints, shopNamespace } from "./layout.ts";
import { readLoadLine } from "./load-line.ts";
import { requireFreePorts } from "./port.ts";
import { writeRecord } from "./record.ts";
import { seed } from "./seed.ts";
import { Service } from "../service.ts";
import { agentSpec, apiPort, discoverySpec, loadSpec, serverSpec } from "./services.ts";
import type { DemoInfo, DemoStatus, LoadStatus } from "./status.ts";
import { type Kept, tearDown } from "./teardown.ts";
import { waitUntil } from "../wait.ts";
import { DemoWatcher } from "./watcher.ts";

/** How a demonstration is run. */
export interface DemoOptions {
  readonly layout: Layout;
  readonly ports: DemoPorts;
  /** Requests a second that the load generator sends; 0 for none. */
  readonly load: number;
  /** Keep the store, logs and kubeconfigs when it ends. */
  readonly keep: boolean;
  /** Path of the Envoy that runs. */
  readonly envoy: string;
}

const shownEvents = 50;

/** Runs a demonstration: starts its processes in order, starts them again when they end, and removes everything. */
export class DemoSupervisor {
  readonly info: DemoInfo;
  readonly #options: DemoOptions;
  readonly #clock: Clock;
  readonly #watcher: DemoWatcher;
  readonly #services: Service[] = [];
  readonly #restarts = new Map<string, number>();
  readonly #say: (line: string) => void;
  readonly #events: string[] = [];
  readonly #startedAt: number;
  #phase: DemoStatus["phase"] = "starting";
  #step = "";
  #load: LoadStatus | undefined;
  #status: Pick<DemoStatus, "workloads" | "proxies"> = { workloads: [], proxies: undefined };

  /** @param say takes each thing that happens, as a line. */
  constructor(options: DemoOptions, clock: Clock, say: (line: string) => void) {
    const { layout, ports } = options;
    this.#options = options;
    this.#clock = clock;
    this.#say = say;
    this.#startedAt = clock.monotonic();
    this.#watcher = new DemoWatcher(layout);
    this.info = {
      gateway: `http://127.0.0.1:${ports.gateway}`,
      kubeconfigs: {
        mesh: layout.kubeconfig("mesh"),
        east: layout.kubeconfig("east"),
        west: layout.kubeconfig("west"),
      },
      namespace: shopNamespace,
      outsideNamespace: outsideName(layout.name),
      pid: process.pid,
    };
  }

  /** Starts everything and returns when the bookshop answers through the gateway. */
  async start(signal: AbortSignal): Promise<void> {
    const { layout, ports } = this.#options;
    await this.#during("removing what an earlier run left", async () =>
      tearDown(layout, this.#options.keep ? "all" : "logs"),
    );
    await requireFreePorts([
      { port: ports.gateway, flag: "--gateway-port", use: "the ingress gateway" },
      ...endpoints.map((name) => ({ port: apiPort(ports, name), flag: "--api-port", use: `the API of ${name}` })),
    ]);
    await this.#during("making the network", async () => this.#prepare());
    await this.#during("starting the API servers", async () => {
      this.#run(new Service(serverSpec(layout, ports), this.#clock, this.#changed));
      await this.#until("the API servers are ready", signal, 30_000, async () => {
        const ready = await Promise.all(endpoints.map(async (name) => this.#watcher.isReady(name)));
        return ready.every(Boolean);
      });
    });
    await this.#during("creating the bookshop", async () => seed(this.#watcher, layout, ports));
    await this.#during("starting the control plane and the agents", async () => this.#startDataPlane(signal));
    await this.#during("waiting for the bookshop to answer through the gateway", async () => {
      await this.#until("the gateway answers", signal, 60_000, async () => this.#gatewayAnswers());
    });
    this.#startLoad();
    this.#phase = "ready";
    this.#step = "";
    this.#record();
  }

  async #startDataPlane(signal: AbortSignal): Promise<void> {
    const { layout, envoy } = this.#options;
    this.#run(new Service(discoverySpec(layout), this.#clock, this.#changed));
    const hostNetwork = openSync("/proc/self/ns/net", "r");
    for (const cluster of demoClusters) {
      for (const node of cluster.nodes) {
        this.#run(new Service(agentSpec(layout, cluster, node, hostNetwork, envoy), this.#clock, this.#changed));
      }
    }
    await this.#until("all workloads are ready", signal, 120_000, async () => {
      await this.refresh();
      const { workloads } = this.#status;
      return workloads.length > 0 && workloads.every((one) => one.ready === one.desired);
    });
  }

  #startLoad(): void {
    const { layout, load } = this.#options;
    if (load === 0) return;
    const spec = loadSpec(layout, `${this.info.gateway}/api/page`, load, (line) => {
      this.#load = readLoadLine(line) ?? this.#load;
    });
    this.#run(new Service(spec, this.#clock, this.#changed));
  }

  /** Changes the load while it runs. */
  adjustLoad(requestsPerSecond: number): void {
    const load = this.#services.find((service) => service.spec.name === "load");
    if (!load) throw new WeftError("FailedPrecondition", "this demo was started without load: start it with --load");
    load.send(JSON.stringify({ rps: requestsPerSecond }));
  }

  /** Reads the state of workloads and proxies anew. */
  async refresh(): Promise<void> {
    const [workloads, proxies] = await Promise.all([this.#watcher.workloads(), this.#watcher.proxies()]);
    this.#status = { workloads, proxies };
  }

  /** The state as last read. */
  get status(): DemoStatus {
    return {
      phase: this.#phase,
      step: this.#step,
      upSeconds: Math.floor((this.#clock.monotonic() - this.#startedAt) / 1000),
      services: this.#services.map((service) => ({
        name: service.spec.name,
        pid: service.pid,
        restarts: this.#restarts.get(service.spec.name) ?? 0,
      })),
      ...this.#status,
      load: this.#load,
      events: this.#events,
    };
  }

  /** Ends and removes everything; also what a start that was cut short has made. */
  async stop(kept: Kept): Promise<void> {
    this.#phase = "stopping";
    this.#say("stopping: ending processes, removing namespaces");
    // The load first, so that it does not see the others go; the server last, since agents report to it.
    for (const service of this.#services.toReversed()) await service.stop(5_000);
    this.#watcher[Symbol.dispose]();
    await tearDown(this.#options.layout, kept);
  }

  async #prepare(): Promise<void> {
    const { layout, ports } = this.#options;
    for (const folder of [layout.state, layout.run, layout.logs]) {
      // Agents' proxies run as a user of their own and reach their sockets through these.
      mkdirSync(folder, { recursive: true, mode: 0o711 });
    }
    this.#record();
    await ensureFabric(layout.name);
    await createOutside(layout.name);
    await makeCredentials(layout, ports);
  }

  async #gatewayAnswers(): Promise<boolean> {
    try {
      const response = await fetch(`${this.info.gateway}/api/page`, { signal: AbortSignal.timeout(2_000) });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      return false;
    }
  }

  async #during(step: string, action: () => Promise<void>): Promise<void> {
    this.#step = step;
    const from = this.#clock.monotonic();
    await action();
    this.#say(`${step}: ${((this.#clock.monotonic() - from) / 1000).toFixed(1)} s`);
  }

  async #until(what: string, signal: AbortSignal, limitMs: number, holds: () => Promise<boolean>): Promise<void> {
    const hint = `the logs are in ${this.#options.layout.logs}`;
    await waitUntil({ what, limitMs, hint }, this.#clock, signal, holds);
  }

  #run(service: Service): void {
    this.#services.push(service);
    service.start();
  }

  readonly #changed = (service: Service, event: string): void => {
    const { name } = service.spec;
    if (event !== "started") {
      this.#restarts.set(name, (this.#restarts.get(name) ?? 0) + 1);
      this.#event(`${name} ${event}; starting it again`);
    }
    this.#record();
  };

  #event(line: string): void {
    this.#events.push(`${new Date(this.#clock.now()).toISOString().slice(11, 19)}  ${line}`);
    this.#events.splice(0, this.#events.length - shownEvents);
    this.#say(line);
  }

  #record(): void {
    const supervisor = identityOf(process.pid);
    if (!supervisor) return;
    const services = this.#services.flatMap((service): [string, ProcessIdentity][] => {
      const identity = service.pid === undefined ? undefined : identityOf(service.pid);
      return identity ? [[service.spec.name, identity]] : [];
    });
    writeRecord(this.#options.layout, {
      supervisor,
      info: this.info,
      ready: this.#phase === "ready",
      services: Object.fromEntries(services),
    });
  }
}
