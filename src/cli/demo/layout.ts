import { join } from "node:path";

/** A member cluster of the demonstration mesh. */
export interface DemoCluster {
  readonly name: string;
  readonly network: string;
  readonly region: string;
  readonly zone: string;
  /** Pod addresses; each node gets a /24 of it. */
  readonly podRange: string;
  readonly serviceRange: string;
  readonly nodes: readonly string[];
}

/** The clusters that the demonstration runs. Pod networks are flat, so both are in one network. */
export const demoClusters: readonly DemoCluster[] = [
  {
    name: "east",
    network: "",
    region: "east",
    zone: "east-1",
    podRange: "10.10.0.0/16",
    serviceRange: "10.110.0.0/16",
    nodes: ["east-1"],
  },
  {
    name: "west",
    network: "",
    region: "west",
    zone: "west-1",
    podRange: "10.20.0.0/16",
    serviceRange: "10.120.0.0/16",
    nodes: ["west-1"],
  },
];

/** The APIs of the demonstration: the mesh's, and its clusters'. */
export const endpoints: readonly string[] = ["mesh", ...demoClusters.map(({ name }) => name)];

/** Where the bookshop runs. */
export const shopNamespace = "shop";

/** Loopback ports on the host. */
export interface DemoPorts {
  readonly gateway: number;
  /** The mesh's API; the clusters' follow it. */
  readonly api: number;
}

/** Ports unless told otherwise. */
export const defaultPorts: DemoPorts = { gateway: 18080, api: 16440 };

/** Where everything of one instance stands. */
export interface Layout {
  readonly name: string;
  /** Kept on disk: the store, the agents' state, logs, kubeconfigs. */
  readonly state: string;
  /** Sockets and the supervisor's record; gone with a reboot. */
  readonly run: string;
  readonly store: string;
  /** Keys of the API server: a folder for each API. */
  readonly apiState: string;
  /** Keys that Secrets are encrypted with in the store. */
  readonly encryptionKeys: string;
  readonly logs: string;
  /** The supervisor's record of itself and its children. */
  readonly record: string;
  readonly adsSocket: string;
  readonly discoverySocket: string;
  /** The API's Unix socket of a cluster, or of the mesh by the name `mesh`. */
  readonly apiSocket: (endpoint: string) => string;
  /** The kubeconfig of a user with all rights, for an API. */
  readonly kubeconfig: (endpoint: string) => string;
  /** The kubeconfig of one of the demonstration's own programs, for an API. */
  readonly ownKubeconfig: (program: string, endpoint: string) => string;
}

/** The layout of the instance of a name. */
export function layoutOf(name: string): Layout {
  const state = join("/var/lib/weft", name);
  const run = join("/run/weft", name);
  return {
    name,
    state,
    run,
    store: join(state, "store.db"),
    apiState: join(state, "api"),
    encryptionKeys: join(state, "encryption-keys"),
    logs: join(state, "logs"),
    record: join(run, "supervisor.json"),
    adsSocket: join(run, "ads.sock"),
    discoverySocket: join(run, "discovery.sock"),
    apiSocket: (endpoint) => join(run, `api-${endpoint}.sock`),
    kubeconfig: (endpoint) => join(state, "kubeconfigs", `${endpoint}.yaml`),
    ownKubeconfig: (program, endpoint) => join(state, "credentials", `${program}-${endpoint}.yaml`),
  };
}
