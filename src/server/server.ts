import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { resourceName } from "#api/kind.ts";
import { kinds } from "#api/kinds.ts";
import type { AccessOptions } from "#apiserver/access.ts";
import { type ApiServer, type ApiServerOptions, type EndpointOptions, createApiServer } from "#apiserver/server.ts";
import { Gathering } from "#apiserver/gathering/gathering.ts";
import type { Aggregation } from "#apiserver/handlers/aggregated.ts";
import type { VersionInfo } from "#apiserver/handlers/health.ts";
import { aborted } from "#base/aborted.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { collectWhenIdle } from "#base/idle-collection.ts";
import type { Logger } from "#base/logger.ts";
import { runMeshes } from "#controllers/meshes/controller.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { leadElected } from "#kube/leader-election.ts";
import { runPlayground } from "#playground/playground.ts";
import { RecordCipher } from "#store/cipher.ts";
import { isEtcdAddress } from "#base/etcd-address.ts";
import { parseEtcdAddress } from "#store/etcd/address.ts";
import type { EtcdFiles } from "#store/etcd/credentials.ts";
import { openEtcdStore } from "#store/etcd/store.ts";
import { readKeyFile } from "#store/key-file.ts";
import { limitedStore, type StoreLimit } from "#store/limited.ts";
import type { RecordLimits, ResourceStore } from "#store/port.ts";
import { openSqliteStore } from "#store/sqlite.ts";
import { ownProcess } from "#runtime/process-mark.ts";
import { credentialContext } from "./credential.ts";
import { ClusterRuntime } from "./meshes/cluster-runtime.ts";
import { ProcessRuntime, type ProcessRuntimeOptions } from "./meshes/process-runtime.ts";
import { ControlPlanes, withoutFigures } from "./control-planes.ts";
import { meshClusters } from "./mesh-clusters.ts";
import { type MembersOptions, serveMembers } from "./serve-members.ts";
import { storeLease } from "./store-lease.ts";

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
  /** File of the store's database, or the address of an etcd (`etcds://HOST:PORT,.../PREFIX`), which several servers can share. */
  readonly store: string;
  /** Files by which the store and etcd know each other. */
  readonly storeFiles?: EtcdFiles;
  /** Folder of its keys; `api` beside the store unless told, and needed where that is an etcd. */
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
  /** Objects that there may be, Events and what says who may do what left out; no limit unless told. */
  readonly maxObjects?: number;
  /** Where API servers of member clusters, which serve the mesh's objects as their own, reach this server; none do unless told. */
  readonly members?: MembersOptions;
  /** Days that records of writes are kept, as the history of each object; none are unless told. */
  readonly historyDays?: number;
  /** How the control planes of `Mesh` objects with the mode Managed are run; they are not unless told. */
  readonly meshes?: Omit<ProcessRuntimeOptions, "clock">;
  /** Images of Weft by version, by which those with the mode StandAlone are run in their clusters; they are not unless told. */
  readonly meshImages?: ReadonlyMap<string, string>;
  /** Weft's own version. */
  readonly version: string;
}

/** What it needs of the machine. */
export interface ServerContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Opens the store that a server is told of.
 * @throws WeftError as the stores do; `InvalidArgument` for an address that is none.
 */
async function openStore(options: ServerOptions, { clock, logger }: ServerContext): Promise<ResourceStore> {
  const { store, storeFiles: files = {}, encryptionKeys, historyDays } = options;
  const common = {
    clock,
    logger,
    ...(encryptionKeys === undefined ? {} : { cipher: new RecordCipher(readKeyFile(encryptionKeys)) }),
    ...(historyDays === undefined ? {} : { records: recordLimits(historyDays) }),
  };
  if (!isEtcdAddress(store)) return openSqliteStore({ path: store, ...common });
  return openEtcdStore({ address: parseEtcdAddress(store), files, ...common });
}

/** What runs in one of the servers of a store at a time: the one that holds a Lease. */
function turns(store: ResourceStore, { clock, logger }: ServerContext): ApiServerOptions["alone"] {
  const lock = storeLease(store, { partition: "mesh", namespace: "istio-system", name: "weft-server" }, clock);
  const identity = `${hostname()}_${randomUUID()}`;
  return (work, signal) => leadElected({ lock, identity, process: ownProcess(), clock, logger }, work, signal);
}

/** The folder of a server's keys. @throws WeftError `InvalidArgument` where none can be guessed. */
function stateDirOf({ stateDir, store }: ServerOptions): string {
  if (stateDir !== undefined) return stateDir;
  if (!isEtcdAddress(store)) return join(dirname(store), "api");
  throw new WeftError("InvalidArgument", "a store on etcd needs --state-dir, the folder of this server's keys");
}

/** How much of the history of objects is kept. */
function recordLimits(days: number): RecordLimits {
  return { perObject: 50, maxAgeMs: days * 24 * 3600_000, most: 200_000 };
}

/** Unix socket of an endpoint's API: `mesh`, or a cluster's name. */
function socketOf(runDir: string, endpoint: string): string {
  return join(runDir, `api-${endpoint}.sock`);
}

/** The API of proxies, which the control planes serve, each of its own. */
function proxyAggregation(planes: ControlPlanes, clock: Clock): Aggregation {
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
      verbs: ["get", "list", "watch"],
      shortNames: [],
      categories: [],
    })),
    upstream: new Gathering({
      kinds: Object.fromEntries(kinds.map(({ name, kind }) => [name, kind])),
      tellers: async () => planes.all(),
      steady: withoutFigures,
      clock,
    }),
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

/** Kinds that quotas leave out: what the server itself makes many of. */
const uncounted: ReadonlySet<string> = new Set(["events.k8s.io", "rbac.authorization.k8s.io", "coordination.k8s.io"]);

function countedObjects({ maxObjects = 0, embedded }: ServerOptions): StoreLimit {
  const counted = kinds.filter(({ group, kind }) => !uncounted.has(group) && kind !== "Event");
  const partitions = ["mesh", ...embedded.map(({ name }) => `cluster/${name}`)];
  return { most: maxObjects, partitions, resources: counted.map(resourceName) };
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

function membersOf(
  { listen, clusters: told }: MembersOptions,
  store: ResourceStore,
  clock: Clock,
): NonNullable<ApiServerOptions["members"]> {
  return { listen, clusters: () => meshClusters({ store, told, clock }) };
}

/** The mesh's API as the server itself calls it: it has to show who it is where everybody has to. */
async function ownApi(options: ServerOptions, clock: Clock): Promise<Connection> {
  const url = `unix://${socketOf(options.runDir, "mesh")}`;
  if (options.access === undefined) return new Connection({ url }, { clock });
  const who = { user: "system:weft:server", group: ["system:masters"], days: 3650, namespace: "default" };
  const { server } = await credentialContext("mesh", { ...who, stateDir: stateDirOf(options), server: url }, clock);
  return new Connection(server, { clock });
}

/** @throws WeftError `InvalidArgument` for what only one server on its store can do, where there may be several. */
function checkAlone({ store, embedded, meshes, meshImages, maxObjects }: ServerOptions): void {
  if (!isEtcdAddress(store)) return;
  const fix = "give them a --store that is a file";
  if (embedded.length > 0) throw new WeftError("InvalidArgument", `embedded clusters live in one server: ${fix}`);
  if (meshes) throw new WeftError("InvalidArgument", `the meshes of --meshes-dir live on one server's machine: ${fix}`);
  if (meshImages) throw new WeftError("InvalidArgument", `the meshes of --mesh-image are led by one server: ${fix}`);
  // Each server would count only what goes through it.
  if (maxObjects !== undefined)
    throw new WeftError("InvalidArgument", `--max-objects is counted by one server: ${fix}`);
}

/**
 * Runs the management plane of one mesh and its embedded clusters until the signal aborts: the store, an API for the
 * mesh and for each cluster, and the clusters' controllers.
 */
export async function runServer(options: ServerOptions, context: ServerContext, signal: AbortSignal): Promise<void> {
  const { clock, logger } = context;
  const stateDir = stateDirOf(options);
  checkAlone(options);
  using _collection = collectWhenIdle(clock);
  await using opened = await openStore(options, context);
  const store = options.maxObjects === undefined ? opened : await limitedStore(opened, countedObjects(options));
  const alone = isEtcdAddress(options.store) ? turns(store, context) : undefined;
  const { runDir } = options;
  const planes = new ControlPlanes({ runDir, store, authority: () => server.authorities.get("mesh"), clock });
  await using server: ApiServer = await createApiServer({
    store,
    kinds,
    endpoints: endpointsOf(options),
    stateDir,
    ...(options.access === undefined ? {} : { access: options.access }),
    ...(options.members === undefined ? {} : { members: membersOf(options.members, store, clock) }),
    aggregated: [proxyAggregation(planes, clock)],
    version: versionInfo(options.version),
    ...(alone === undefined ? {} : { alone }),
    clock,
    logger,
  });
  await using connections = new AsyncDisposableStack();
  const controllers = options.embedded.map(async ({ name, podRange }) => {
    const connection = connections.use(new Connection({ url: `unix://${socketOf(options.runDir, name)}` }, { clock }));
    await runPlayground({ cluster: name, connection, clock, logger, podRange }, signal);
  });
  const { meshes, meshImages: images } = options;
  if (meshes) {
    const client = new Client(connections.use(await ownApi(options, clock)));
    const runtime = new ProcessRuntime({ ...meshes, clock });
    controllers.push(runMeshes({ client, mode: "Managed", runtime, clock, logger }, signal));
  }
  if (images) {
    const client = new Client(connections.use(await ownApi(options, clock)));
    const runtime = new ClusterRuntime({ images, client, clock });
    controllers.push(runMeshes({ client, mode: "StandAlone", runtime, clock, logger }, signal));
  }
  const { members } = options;
  if (members && server.members) {
    const mesh = new Client(connections.use(await ownApi(options, clock)));
    controllers.push(serveMembers(members, { mesh, apis: server.members, clock, logger }, signal));
  }
  // There may be none of them.
  await Promise.all([...controllers, aborted(signal)]);
}
