import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { virtualService } from "#api/istio/virtual-service.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { systemClock } from "#base/clock.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { readKubeconfig } from "#kube/kubeconfig.ts";
import { weftProgram } from "#cli/service.ts";
import { freePort } from "#base/free-port.ts";
import { resetPeak, settled, treeUse, type TreeUse } from "./process-tree.ts";

/** How large a served mesh is, as the flags of `weft bench serve` say it. */
export interface ServedScale {
  readonly services: number;
  readonly namespaces: number;
  /** Namespaces whose proxies a Sidecar resource restricts to their own services: the first so many. */
  readonly sidecars: number;
}

/** What `weft bench serve` prints. */
interface Info {
  readonly pid: number;
  readonly ads: string;
  readonly kubeconfig: string;
}

/** What is changed of a service. */
export const changeKinds = ["route", "endpoints"] as const;

/** One of them. */
export type ChangeKind = (typeof changeKinds)[number];

/** The address of one of a service's two endpoints, which generations move back and forth. */
function endpointAddress(service: number, at: number, generation: number): string {
  return `10.${21 + at + (generation % 2)}.${Math.floor(service / 250)}.${(service % 250) + 1}`;
}

/**
 * The production server over a mesh of a size, in processes of its own, started as users start it: `weft bench serve`
 * with its defaults. Disposing ends it; so does the end of this process.
 */
export class ServedMesh implements AsyncDisposable {
  readonly scale: ServedScale;
  /** The root of the process tree: API server, store and control plane are below. */
  readonly pid: number;
  /** Where xDS is served in plain text, `127.0.0.1:15010`. */
  readonly ads: string;
  readonly kubeconfig: string;
  /** The mesh's API: Istio's kinds. */
  readonly mesh: Client;
  /** The member cluster's API: Services and their endpoints. */
  readonly cluster: Client;
  readonly #child: ChildProcess;
  readonly #connections: readonly Connection[];
  readonly #kill: () => void;

  private constructor(
    scale: ServedScale,
    info: Info,
    child: ChildProcess,
    connections: readonly [Connection, Connection],
    kill: () => void,
  ) {
    this.scale = scale;
    this.pid = info.pid;
    this.ads = info.ads;
    this.kubeconfig = info.kubeconfig;
    this.mesh = new Client(connections[0]);
    this.cluster = new Client(connections[1]);
    this.#child = child;
    this.#connections = connections;
    this.#kill = kill;
  }

  /** Starts it, and returns when it serves the whole mesh. What it says on the way goes to `say`. */
  static async start(scale: ServedScale, say: (line: string) => void = () => undefined): Promise<ServedMesh> {
    const flags = { ...scale, ads: `127.0.0.1:${await freePort()}` };
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    const child = spawn(weftProgram, ["bench", "serve", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const kill = (): void => void child.kill("SIGTERM");
    process.once("exit", kill);
    let last = "";
    createInterface(child.stderr).on("line", (line) => {
      last = line;
      say(line);
    });
    for await (const line of createInterface(child.stdout)) {
      const info = JSON.parse(line) as Info;
      const connect = async (context: string): Promise<Connection> =>
        new Connection((await readKubeconfig(info.kubeconfig, context)).server, { clock: systemClock });
      return new ServedMesh(scale, info, child, [await connect("mesh"), await connect("main")], kill);
    }
    process.off("exit", kill);
    throw new Error(`weft bench serve ended before it served anything: ${last}`);
  }

  /** What all of its processes have used. */
  use(): TreeUse {
    return treeUse(this.pid);
  }

  /** Counts peaks of memory from now on. */
  resetPeak(): void {
    resetPeak(this.pid);
  }

  /** Gives a service a VirtualService, so that what `change` does to it later is a change and not a creation. */
  async addRoute(service: number): Promise<void> {
    const host = `svc-${service}`;
    const http = [{ timeout: "1s", route: [{ destination: { host } }] }];
    await this.mesh.of(virtualService).create({ metadata: this.#name(service), spec: { hosts: [host], http } });
  }

  /**
   * Changes something of a service through the API; each generation differs from the one before.
   * @returns when the API had acknowledged it, in nanoseconds of the monotonic clock.
   */
  async change(kind: ChangeKind, service: number, generation: number): Promise<bigint> {
    const name = this.#name(service);
    if (kind === "route") {
      const http = [{ timeout: `${generation + 2}s`, route: [{ destination: { host: name.name } }] }];
      await this.mesh.of(virtualService).patch(name, { kind: "merge", body: { spec: { http } } });
    } else {
      const endpoints = [0, 1].map((at) => ({
        addresses: [endpointAddress(service, at, generation)],
        conditions: { ready: true },
      }));
      await this.cluster.of(endpointSlice).patch(name, { kind: "merge", body: { endpoints } });
    }
    return process.hrtime.bigint();
  }

  /** Waits until it has nothing left to do, status writes included; returns what it had used by then. */
  async settled(): Promise<TreeUse> {
    return await settled(this.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#kill);
    for (const connection of this.#connections) connection[Symbol.dispose]();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#kill();
    await once(this.#child, "exit");
  }

  #name(service: number): { readonly namespace: string; readonly name: string } {
    return { name: `svc-${service}`, namespace: `ns-${service % this.scale.namespaces}` };
  }
}
