import { dirname, join } from "node:path";
import { kinds } from "#api/kinds.ts";
import type { AccessOptions } from "#apiserver/access.ts";
import { type EndpointOptions, createApiServer } from "#apiserver/server.ts";
import type { Aggregation } from "#apiserver/handlers/aggregated.ts";
import type { VersionInfo } from "#apiserver/handlers/health.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { Connection } from "#kube/connection.ts";
import { runPlayground } from "#playground/playground.ts";
import { RecordCipher } from "#store/cipher.ts";
import { readKeyFile } from "#store/key-file.ts";
import type { RecordLimits } from "#store/port.ts";
import { openSqliteStore } from "#store/sqlite.ts";

/** An embedded cluster that a server runs. */
export interface EmbeddedCluster {
  readonly name: string;
  /** Range of its Pods' addresses, such as `10.10.0.0/16`. */
  readonly podRange: string;
  /** Range of its Services' addresses. */
  readonly serviceRange: string;
  /** Loopback port of its API. */
  readonly port: number;
}

/** What a server is told. */
export interface ServerOptions {
  /** File of the store's database. */
  readonly store: string;
  /** Folder of its keys; `api` beside the store unless told. */
  readonly stateDir?: string;
  /** Folder of its Unix sockets. */
  readonly runDir: string;
  /** Loopback port of the mesh's API. */
  readonly meshPort: number;
  readonly embedded: readonly EmbeddedCluster[];
  /** Address that the APIs listen on; loopback unless told, and unless `access` is. */
  readonly address?: string;
  /** How clients are authenticated; whoever reaches the server may do everything unless told. */
  readonly access?: AccessOptions;
  /** File of the keys that Secrets are encrypted with in the store; they are in plain text unless told. */
  readonly encryptionKeys?: string;
  /** Days that records of writes are kept, as the history of each object; none are unless told. */
  readonly historyDays?: number;
  /** Weft's own version. */
  readonly version: string;
}

/** What it needs of the machine. */
export interface ServerContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How much of the history of objects is kept. */
function recordLimits(days: number): RecordLimits {
  return { perObject: 50, maxAgeMs: days * 24 * 3600_000, most: 200_000 };
}

/** Unix socket of an endpoint's API: `mesh`, or a cluster's name. */
function socketOf(runDir: string, endpoint: string): string {
  return join(runDir, `api-${endpoint}.sock`);
}

/** The API of proxies, which the control plane serves. */
function proxyAggregation(runDir: string): Aggregation {
  const kinds = [
    { name: "proxies", singularName: "proxy", kind: "Proxy" },
    { name: "proxyfindings", singularName: "proxyfinding", kind: "ProxyFinding" },
  ];
  return {
    group: "status.mesh.weft.dev",
    versions: ["v1alpha1"],
    resources: kinds.map((kind) => ({
      ...kind,
      namespaced: true,
      verbs: ["get", "list"],
      shortNames: [],
      categories: [],
    })),
    upstream: { socketPath: join(runDir, "discovery.sock") },
  };
}

function endpointsOf(options: ServerOptions): readonly EndpointOptions[] {
  const listen = (name: string, port: number): EndpointOptions["listen"] => [
    { socketPath: socketOf(options.runDir, name) },
    { host: options.address ?? "127.0.0.1", port },
  ];
  const mesh: EndpointOptions = {
    name: "mesh",
    view: "mesh",
    partition: "mesh",
    listen: listen("mesh", options.meshPort),
    namespaces: ["default", "istio-system"],
  };
  const clusters = options.embedded.map(({ name, serviceRange, port }): EndpointOptions => ({
    name,
    view: "cluster",
    partition: `cluster/${name}`,
    listen: listen(name, port),
    serviceRange,
    namespaces: ["default", "kube-system", "kube-public", "kube-node-lease", "istio-system"],
    accounts: [{ namespace: "istio-system", name: "weft-agent" }],
  }));
  return [mesh, ...clusters];
}

/** The Kubernetes whose API is served, as kubectl compares it with its own version; Weft's version follows it. */
const kubernetes = { major: "1", minor: "36" } as const;

function versionInfo(weft: string): VersionInfo {
  return {
    ...kubernetes,
    gitVersion: `v${kubernetes.major}.${kubernetes.minor}.0+weft-${weft}`,
    gitCommit: "",
    gitTreeState: "",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: "",
    compiler: `node ${process.versions.node}`,
    platform: `linux/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
}

/**
 * Runs the management plane of one mesh and its embedded clusters until the signal aborts: the store, an API for the
 * mesh and for each cluster, and the clusters' controllers.
 */
export async function runServer(options: ServerOptions, context: ServerContext, signal: AbortSignal): Promise<void> {
  const { clock, logger } = context;
  const { encryptionKeys } = options;
  const sealed = encryptionKeys === undefined ? {} : { cipher: new RecordCipher(readKeyFile(encryptionKeys)) };
  const recorded = options.historyDays === undefined ? {} : { records: recordLimits(options.historyDays) };
  await using store = await openSqliteStore({ path: options.store, clock, logger, ...sealed, ...recorded });
  await using _server = await createApiServer({
    store,
    kinds,
    endpoints: endpointsOf(options),
    stateDir: options.stateDir ?? join(dirname(options.store), "api"),
    ...(options.access === undefined ? {} : { access: options.access }),
    aggregated: [proxyAggregation(options.runDir)],
    version: versionInfo(options.version),
    clock,
    logger,
  });
  await using connections = new AsyncDisposableStack();
  const controllers = options.embedded.map(async ({ name, podRange }) => {
    const connection = connections.use(new Connection({ url: `unix://${socketOf(options.runDir, name)}` }, { clock }));
    await runPlayground({ cluster: name, connection, clock, logger, podRange }, signal);
  });
  await Promise.all(controllers);
}
