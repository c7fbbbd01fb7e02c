import { join } from "node:path";

/** Folders in which the meshes of a management plane have theirs. */
export interface MeshFolders {
  /** Kept: stores, keys, logs. */
  readonly state: string;
  /** Unix sockets. */
  readonly run: string;
}

/** Where everything of one mesh stands: nothing of another is in these folders. */
export interface MeshLayout {
  readonly state: string;
  readonly run: string;
  readonly store: string;
  /** Keys of its API. */
  readonly apiState: string;
  /** Keys that Secrets are encrypted with in its store. */
  readonly encryptionKeys: string;
  /** Its API, for the management plane and its control planes. */
  readonly apiSocket: string;
  /** The kubeconfig by which the management plane acts in it. */
  readonly kubeconfig: string;
  /** The kubeconfig of its control planes. */
  readonly ownKubeconfig: string;
  /** The socket where its API server finds the API of proxies: a link to that of the stable revision. */
  readonly statusLink: string;
  readonly statusSocket: (revision: string) => string;
  readonly adsSocket: (revision: string) => string;
  /** What is kept of one of its processes. */
  readonly process: (name: string) => string;
}

/** The layout of the mesh of a name. */
export function meshLayout(folders: MeshFolders, mesh: string): MeshLayout {
  const state = join(folders.state, mesh);
  const run = join(folders.run, mesh);
  return {
    state,
    run,
    store: join(state, "store.db"),
    apiState: join(state, "api"),
    encryptionKeys: join(state, "encryption-keys"),
    apiSocket: join(run, "api-mesh.sock"),
    kubeconfig: join(state, "kubeconfig"),
    ownKubeconfig: join(state, "discovery.kubeconfig"),
    statusLink: join(run, "discovery.sock"),
    statusSocket: (revision) => join(run, `discovery-${revision}.sock`),
    adsSocket: (revision) => join(run, `ads-${revision}.sock`),
    process: (name) => join(state, "processes", name),
  };
}
