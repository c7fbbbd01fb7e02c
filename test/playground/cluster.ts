import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApiServer } from "#apiserver/server.ts";
import type { ApiServer } from "#apiserver/server.ts";
import { kinds } from "#api/kinds.ts";
import { deployment } from "#api/kubernetes/deployment.ts";
import type { Deployment } from "#api/kubernetes/deployment.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import type { EndpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { event } from "#api/kubernetes/event.ts";
import type { Event } from "#api/kubernetes/event.ts";
import { lease } from "#api/kubernetes/lease.ts";
import type { Lease } from "#api/kubernetes/lease.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { node } from "#api/kubernetes/node.ts";
import type { Node } from "#api/kubernetes/node.ts";
import { pod } from "#api/kubernetes/pod.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { replicaSet } from "#api/kubernetes/replica-set.ts";
import type { ReplicaSet } from "#api/kubernetes/replica-set.ts";
import { service } from "#api/kubernetes/service.ts";
import type { Service } from "#api/kubernetes/service.ts";
import type { ResourceObject } from "#api/meta.ts";
import { systemClock } from "#base/clock.ts";
import type { Clock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Client } from "#kube/client.ts";
import type { Draft, KindClient } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import type { ApiRequest, ApiStream, ServerAddress } from "#kube/connection.ts";
import { runPlayground } from "#playground/playground.ts";
import type { ResourceStore } from "#store/port.ts";
import { openSqliteStore } from "#store/sqlite.ts";

/** What API servers of tests say that they are. */
export const version = {
  major: "1",
  minor: "36",
  gitVersion: "v1.36.0+test",
  gitCommit: "",
  gitTreeState: "clean",
  buildDate: "2026-01-01T00:00:00Z",
  goVersion: "none",
  compiler: "none",
  platform: "linux/amd64",
};

/** The objects of a cluster that tests write and read. */
export class Api {
  readonly connection: Connection;
  readonly client: Client;
  readonly deployments: KindClient<Deployment>;
  readonly replicaSets: KindClient<ReplicaSet>;
  readonly pods: KindClient<Pod>;
  readonly nodes: KindClient<Node>;
  readonly services: KindClient<Service>;
  readonly slices: KindClient<EndpointSlice>;
  readonly leases: KindClient<Lease>;
  readonly events: KindClient<Event>;
  readonly namespaces: KindClient<ResourceObject>;

  /** @param server its URL, or how it is reached where a URL does not tell all. */
  constructor(server: string | ServerAddress) {
    const address = typeof server === "string" ? { url: server } : server;
    this.connection = new Connection(address, { clock: systemClock, maxRequests: 64 });
    this.client = new Client(this.connection);
    this.deployments = this.client.of<Deployment>(deployment);
    this.replicaSets = this.client.of<ReplicaSet>(replicaSet);
    this.pods = this.client.of<Pod>(pod);
    this.nodes = this.client.of<Node>(node);
    this.services = this.client.of<Service>(service);
    this.slices = this.client.of<EndpointSlice>(endpointSlice);
    this.leases = this.client.of<Lease>(lease);
    this.events = this.client.of<Event>(event);
    this.namespaces = this.client.of(namespace);
  }
}

/** A connection on which watches are behind. */
class SlowNews extends Connection {
  readonly #ms: number;

  constructor(url: string, ms: number) {
    super({ url }, { clock: systemClock });
    this.#ms = ms;
  }

  override async open(request: ApiRequest): Promise<ApiStream> {
    const { status, chunks } = await super.open(request);
    return { status, chunks: this.#late(chunks) };
  }

  async *#late(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      if (this.#ms > 0) await systemClock.sleep(this.#ms);
      yield chunk;
    }
  }
}

/** A real API server over the real store, with the namespaces of an embedded cluster, and its controllers, which can be stopped. */
export class TestCluster implements AsyncDisposable {
  readonly api: Api;
  readonly url: string;
  readonly #clock: Clock;
  readonly #store: ResourceStore;
  readonly #resources: AsyncDisposableStack;
  readonly #runs: Promise<void>[] = [];
  #server: ApiServer | undefined;
  #controllers: { readonly stop: AbortController; readonly connection: Connection } | undefined;

  private constructor(socketPath: string, clock: Clock, store: ResourceStore, resources: AsyncDisposableStack) {
    this.url = `unix://${socketPath}`;
    this.api = new Api(this.url);
    this.#clock = clock;
    this.#store = store;
    this.#resources = resources;
  }

  /** @param clock the controllers'; the machine's unless told. */
  static async start(clock: Clock = systemClock): Promise<TestCluster> {
    const resources = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), "weft-playground-"));
    resources.defer(() => rmSync(folder, { recursive: true, force: true }));
    const store = resources.use(
      await openSqliteStore({ path: join(folder, "store.db"), clock: systemClock, logger: silentLogger }),
    );
    const cluster = new TestCluster(join(folder, "api.sock"), clock, store, resources);
    await cluster.startServer();
    return cluster;
  }

  async startServer(): Promise<void> {
    this.#server = await createApiServer({
      store: this.#store,
      kinds,
      endpoints: [
        {
          name: "east",
          view: "cluster",
          partition: "cluster/east",
          listen: [{ socketPath: this.url.slice("unix://".length) }],
          serviceRange: "10.110.0.0/16",
          namespaces: ["default", "kube-system", "kube-node-lease", "shop"],
        },
      ],
      version,
      clock: systemClock,
      logger: silentLogger,
    });
  }

  /** Forgets the past, so that watches cannot be resumed. */
  async forgetHistory(): Promise<void> {
    await this.#store.compact(await this.#store.revision());
  }

  async stopServer(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** Ends the API server and starts it again. */
  async restartServer(): Promise<void> {
    await this.stopServer();
    await this.startServer();
  }

  /** @param newsMs milliseconds by which the controllers hear of every change too late. */
  startControllers(newsMs = 0): void {
    const stop = new AbortController();
    const connection = new SlowNews(this.url, newsMs);
    const options = { cluster: "east", connection, clock: this.#clock, logger: silentLogger, podRange: "10.10.0.0/16" };
    this.#runs.push(runPlayground(options, stop.signal));
    this.#controllers = { stop, connection };
  }

  /** Cuts the controllers off in the middle of whatever they do. */
  killControllers(): void {
    this.#controllers?.connection[Symbol.dispose]();
    this.#controllers?.stop.abort();
    this.#controllers = undefined;
  }

  async stopControllers(): Promise<void> {
    this.#controllers?.stop.abort();
    await Promise.all(this.#runs.splice(0));
    this.killControllers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopControllers();
    this.api.connection[Symbol.dispose]();
    await this.stopServer();
    await this.#resources.disposeAsync();
  }
}

/** A clock on which time passes faster, for what takes long. */
export function fastClock(factor: number): Clock {
  const start = systemClock.now();
  return {
    now: () => start + (systemClock.now() - start) * factor,
    monotonic: () => systemClock.monotonic() * factor,
    sleep: async (ms, signal) => systemClock.sleep(ms / factor, signal),
    after: (ms, action) => systemClock.after(ms / factor, action),
    every: (ms, action) => systemClock.every(ms / factor, action),
  };
}

const container = {
  name: "app",
  resources: {},
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
} as const;

/** A Deployment of Pods labelled `app` with its name. */
export function deploymentDraft(
  name: string,
  spec: Partial<Deployment["spec"]> = {},
  template: {
    readonly image?: string;
    readonly nodeSelector?: Record<string, string>;
    readonly graceSeconds?: number;
  } = {},
): Draft<Deployment> {
  const { image = "weft.dev/test/app:1", nodeSelector, graceSeconds = 30 } = template;
  return {
    metadata: { name, namespace: "shop" },
    spec: {
      selector: { matchLabels: { app: name } },
      replicas: 3,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [{ ...container, image, ports: [{ name: "web", containerPort: 9080, protocol: "TCP" }] }],
          restartPolicy: "Always",
          terminationGracePeriodSeconds: graceSeconds,
          dnsPolicy: "ClusterFirst",
          schedulerName: "default-scheduler",
          enableServiceLinks: true,
          securityContext: {},
          ...(nodeSelector === undefined ? {} : { nodeSelector }),
        },
      },
      ...spec,
    },
  };
}

/** A Service of the Pods labelled `app` with a name. */
export function serviceDraft(name: string, targetPort: number | string = "web"): Draft<Service> {
  return {
    metadata: { name, namespace: "shop" },
    spec: {
      type: "ClusterIP",
      sessionAffinity: "None",
      selector: { app: name },
      ports: [{ name: "http", port: 80, protocol: "TCP", targetPort }],
    },
  };
}
