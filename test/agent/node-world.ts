import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanUpAgents } from "#agent/cleanup.ts";
import { agentAccount } from "#agent/node-token.ts";
import type { AgentOptions } from "#agent/options.ts";
import { event } from "#api/kubernetes/event.ts";
import type { Event } from "#api/kubernetes/event.ts";
import { node } from "#api/kubernetes/node.ts";
import type { Node } from "#api/kubernetes/node.ts";
import { pod } from "#api/kubernetes/pod.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { type DiscoveryOptions, runDiscovery } from "#discovery/discovery.ts";
import { defaultLifetimes } from "#identity/settings.ts";
import { Client } from "#kube/client.ts";
import type { KindClient } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { ensureFabric, fabricName, removeFabric } from "#runtime/fabric.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { runServer } from "#server/server.ts";
import { eventually } from "../support/eventually.ts";

/** An object in the form that people write. */
export type Manifest = Readonly<Record<string, unknown>> & { readonly kind: string };

const paths: Readonly<Record<string, string>> = {
  Namespace: "/api/v1/namespaces",
  Mesh: "/apis/mesh.weft.dev/v1alpha1/meshes",
  Cluster: "/apis/mesh.weft.dev/v1alpha1/clusters",
  ServiceEntry: "/apis/networking.istio.io/v1/namespaces/shop/serviceentries",
  ProxyConfig: "/apis/networking.istio.io/v1beta1/namespaces/shop/proxyconfigs",
  EnvoyFilter: "/apis/networking.istio.io/v1alpha3/namespaces/shop/envoyfilters",
  DestinationRule: "/apis/networking.istio.io/v1/namespaces/shop/destinationrules",
  Gateway: "/apis/networking.istio.io/v1/namespaces/shop/gateways",
};

const serverName = "istiod.istio-system.svc";

/** How a mesh with identities keeps them. */
const meshIdentity = {
  names: [serverName],
  authorityKey: "P-256",
  nodeAccounts: [agentAccount],
  tokens: "keys",
  lifetimes: defaultLifetimes,
  rotationSettleMs: 2000,
} as const;

/** A part of the world has ended: that is a fault unless it was asked to. */
async function unlessAborted(part: Promise<unknown>, signal: AbortSignal): Promise<void> {
  try {
    await part;
  } catch (error) {
    if (!signal.aborted) console.error("a part of the world failed", error);
  }
}

interface WorldOptions {
  readonly secured?: (world: NodeWorld) => Promise<void>;
  readonly discovery?: boolean;
}

/** One node of a mesh: real API server, controllers, control plane and agent, in namespaces of their own. */
export class NodeWorld implements AsyncDisposable {
  readonly instance = `a${process.pid}`;
  readonly node = "node-1";
  /** The name servers of the host that the agent is told of. */
  resolvers: readonly string[] = [];
  /** Milliseconds after which other endpoints than were sent are told; as usual unless told. */
  endpointsStaleMs: number | undefined;
  /** Milliseconds between the agent's reports of a proxy; as usual unless told. */
  reportEveryMs: number | undefined;
  /** Everything that the world keeps on disk. */
  readonly root = mkdtempSync(join(tmpdir(), "weft-node-"));
  readonly #secure: ((world: NodeWorld) => Promise<void>) | undefined;
  /** A JSON file of other Envoys that the agent is told of. */
  envoys: string | undefined;
  readonly #connection: Connection;
  readonly client: Client;
  readonly pods: KindClient<Pod>;
  readonly nodes: KindClient<Node>;
  readonly events: KindClient<Event>;
  #server = new AbortController();
  #serverDone: Promise<unknown> = Promise.resolve();
  #discovery = new AbortController();
  #discoveryDone: Promise<unknown> = Promise.resolve();
  #agent: ChildProcess | undefined;

  private constructor(secured: ((world: NodeWorld) => Promise<void>) | undefined) {
    this.#secure = secured;
    mkdirSync(this.runDir);
    this.#connection = new Connection({ url: `unix://${this.runDir}/api-east.sock` }, { clock });
    this.client = new Client(this.#connection);
    this.pods = this.client.of<Pod>(pod);
    this.nodes = this.client.of<Node>(node);
    this.events = this.client.of<Event>(event);
  }

  get runDir(): string {
    return join(this.root, "run");
  }

  get stateDir(): string {
    return join(this.root, "state");
  }

  /** What the agents said, for a test that failed. */
  get agentLog(): string {
    return join(this.root, "agent.log");
  }

  get fabric(): string {
    return namespacePath(fabricName(this.instance));
  }

  /**
   * Starts everything but the agent.
   * @param secured makes xDS go over TLS and gives workloads identities; called before there is a control plane.
   * @param discovery false where the test runs control planes of its own.
   */
  static async start({ secured, discovery = true }: WorldOptions = {}): Promise<NodeWorld> {
    const world = new NodeWorld(secured);
    try {
      await world.#start();
      if (discovery) world.startDiscovery();
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    await ensureFabric(this.instance);
    this.startServer();
    const api = `unix://${this.runDir}/api-east.sock`;
    const mesh = { apiVersion: "mesh.weft.dev/v1alpha1", kind: "Mesh", metadata: { name: "default" }, spec: {} };
    const cluster = {
      ...mesh,
      kind: "Cluster",
      metadata: { name: "east" },
      spec: { server: api, region: "r", zone: "z" },
    };
    await eventually("the API answers", async () => this.client.json({ method: "GET", path: "/version" }));
    for (const one of [mesh, cluster]) await this.create(one);
    await this.create({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "shop", labels: { "istio-injection": "enabled" } },
    });
    await this.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "plain" } });
    await this.#secure?.(this);
  }

  get #secured(): boolean {
    return this.#secure !== undefined;
  }

  /** Starts the API and the cluster's controllers. */
  startServer(): void {
    this.#server = new AbortController();
    const options = {
      store: join(this.root, "store.db"),
      runDir: this.runDir,
      meshPort: 0,
      embedded: [{ name: "east", podRange: "10.10.0.0/16", serviceRange: "10.110.0.0/16", port: 0 }],
      version: "0.0.0",
    };
    const { signal } = this.#server;
    this.#serverDone = unlessAborted(runServer(options, { clock, logger }, signal), signal);
  }

  /** Stops the API and the cluster's controllers. */
  async stopServer(): Promise<void> {
    this.#server.abort();
    await this.#serverDone;
  }

  /**
   * Options of the control plane.
   * @param replica the first is the one that the agent speaks with.
   */
  discoveryOptions(replica = 1): DiscoveryOptions {
    const socket = (name: string): string => join(this.runDir, replica === 1 ? name : `${replica}-${name}`);
    return {
      meshApi: `unix://${this.runDir}/api-mesh.sock`,
      mesh: "default",
      xds: [{ socketPath: socket("ads.sock"), tls: this.#secured }],
      ...(this.#secured && { identity: meshIdentity }),
      statusSocket: socket("discovery.sock"),
      startLimitMs: 5000,
      version: "0.0.0",
      ...(this.endpointsStaleMs !== undefined && { endpointsStaleMs: this.endpointsStaleMs }),
    };
  }

  /** Starts the control plane. */
  startDiscovery(): void {
    this.#discovery = new AbortController();
    const { signal } = this.#discovery;
    this.#discoveryDone = unlessAborted(runDiscovery(this.discoveryOptions(), { clock, logger }, signal), signal);
  }

  /** Stops the control plane. */
  async stopDiscovery(): Promise<void> {
    this.#discovery.abort();
    await this.#discoveryDone;
  }

  /** Creates an object. */
  async create(manifest: Manifest): Promise<void> {
    const { namespace } = (manifest as { metadata?: { namespace?: string } }).metadata ?? {};
    const plural = `${manifest.kind.toLowerCase()}s`;
    const group = String(manifest["apiVersion"]);
    const root = group === "v1" ? "/api/v1" : `/apis/${group}`;
    const path = paths[manifest.kind] ?? `${root}/namespaces/${namespace ?? "default"}/${plural}`;
    await this.client.json({ method: "POST", path, body: manifest });
  }

  /** Options of the node's agent. */
  options(): AgentOptions {
    const root = join(import.meta.dirname, "..", "..");
    const programs = join(this.root, "programs.json");
    writeFileSync(
      programs,
      JSON.stringify({
        "test/program": ["node", "--max-semi-space-size=2", "test/agent/program.ts"],
        "test/sh": ["sh", "-c"],
      }),
    );
    return {
      instance: this.instance,
      cluster: "east",
      node: this.node,
      region: "r",
      zone: "z",
      network: "",
      stateDir: join(this.stateDir, "agents", this.node),
      runDir: this.runDir,
      api: `unix://${this.runDir}/api-east.sock`,
      xds: `unix:${this.runDir}/ads.sock`,
      hostNetwork: "/proc/self/fd/3",
      programs: { file: programs, folder: root },
      envoy: {
        program: execFileSync(process.execPath, ["setup/program.ts", "envoy"], { encoding: "utf8" }).trim(),
        concurrency: 1,
        ...(this.envoys !== undefined && { others: this.envoys }),
      },
      hijackPrograms: execFileSync(process.execPath, ["setup/bpf.ts"], { encoding: "utf8" }).trim(),
      resolvers: this.resolvers,
      clusterDomain: "cluster.local",
      meshId: "cluster.local",
      revision: "default",
      version: "0.0.0",
      ...(this.reportEveryMs !== undefined && { reportEveryMs: this.reportEveryMs }),
      ...(this.#secured && {
        xdsTls: true,
        trust: { serverName, rootNamespace: "istio-system" },
        identity: {
          ca: `unix:${this.runDir}/ads.sock`,
          trustDomain: "cluster.local",
          ttlMs: 3_600_000,
          spreadMs: 1000,
        },
      }),
    };
  }

  /** Starts the node's agent in the fabric. */
  startAgent(): ChildProcess {
    const main = join(import.meta.dirname, "agent-main.ts");
    const [program, ...args] = inside(this.fabric, [process.execPath, main, JSON.stringify(this.options())]);
    const log = openSync(this.agentLog, "a");
    const host = openSync("/proc/self/ns/net", "r");
    this.#agent = spawn(program, args, { stdio: ["ignore", log, log, host] });
    closeSync(log);
    closeSync(host);
    return this.#agent;
  }

  /** Ends the node's agent by a signal and waits until it has ended. */
  async endAgent(signal: NodeJS.Signals): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (agent === undefined || agent.exitCode !== null || agent.signalCode !== null) return;
    const ended = new Promise((resolve) => {
      agent.once("exit", resolve);
    });
    agent.kill(signal);
    await ended;
  }

  /** Asks the agent's own API. */
  ask(path: string, method = "GET"): Promise<{ readonly status: number; readonly text: string }> {
    const socketPath = join(this.runDir, `node-${this.node}.sock`);
    return new Promise((resolve, reject) => {
      const call = request({ socketPath, path, method, agent: false }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      });
      call.on("error", reject).end();
    });
  }

  /** A request to a port on a Pod's loopback, through the agent; the answer as JSON. */
  async inPod<T>(namespace: string, name: string, port: number, path: string): Promise<T> {
    const { status, text } = await this.ask(`/proxy/${namespace}/${name}/${port}${path}`);
    if (status !== 200) throw new Error(`${status}: ${text}`);
    return JSON.parse(text) as T;
  }

  /** The process id of the node's name server. */
  nameServer(): number {
    const folder = join(this.stateDir, "agents", this.node, "name-server");
    const attempts = readdirSync(folder).filter((attempt) => existsSync(join(folder, attempt, "pid")));
    const last = String(Math.max(...attempts.map(Number)));
    return Number(readFileSync(join(folder, last, "pid"), "utf8").split(" ")[2]);
  }

  /** The newest start of a Pod's container, by the agent's own record. */
  start(pod: Pod, container: string): { readonly pid: number; readonly startedAt: number } {
    const folder = join(this.stateDir, "agents", this.node, "pods", pod.metadata.uid, "containers", container);
    const attempts = readdirSync(folder).filter((attempt) => existsSync(join(folder, attempt, "pid")));
    const last = String(Math.max(...attempts.map(Number)));
    const words = readFileSync(join(folder, last, "pid"), "utf8").split(" ");
    return { pid: Number(words[2]), startedAt: Number(words[5]) };
  }

  /** The Pod once a check holds for it. */
  async pod(namespace: string, name: string, what: string, check: (pod: Pod) => boolean): Promise<Pod> {
    return eventually(`${name}: ${what}`, async () => {
      const found = await this.pods.get({ namespace, name });
      if (!check(found)) throw new Error(JSON.stringify(found.status));
      return found;
    });
  }

  /** The Pod once it is ready. */
  async ready(namespace: string, name: string): Promise<Pod> {
    return this.pod(namespace, name, "is ready", isReady);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endAgent("SIGKILL");
    await this.stopDiscovery();
    await cleanUpAgents({ instance: this.instance, stateDir: this.stateDir, runDir: this.runDir });
    await this.stopServer();
    this.#connection[Symbol.dispose]();
    await removeFabric(this.instance);
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Whether a Pod is ready. */
export function isReady({ status }: Pod): boolean {
  return status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
}
