import type { MeshHome } from "#api/weft/mesh-home.ts";
import type { MeshQuotas, MeshRevision } from "#api/weft/mesh-lifecycle.ts";

/** A mesh of the management plane and its place there. */
export interface MeshPlace {
  readonly mesh: string;
  /** Distinct among the meshes of its mode that there are; ports follow it. */
  readonly slot: number;
  /** Where it runs that stands alone. */
  readonly home?: MeshHome;
}

/** A revision of a mesh's control plane and its place beside others of the mesh. */
export interface RevisionPlace extends MeshRevision {
  /** Distinct among the mesh's revisions; its port follows it. */
  readonly index: number;
}

/** Which revision serves whom: namespaces follow the stable one, but for those that the canary has. */
export interface Routing {
  readonly stable: RevisionPlace;
  readonly canary?: RevisionPlace;
  /** Namespaces of a hundred that follow the canary. */
  readonly percentage: number;
}

/** The settings of a mesh: a Mesh's spec without what says how it is run. */
export type MeshSettings = Readonly<Record<string, unknown>>;

/**
 * What runs the control planes of meshes. Every effect is idempotent: it may be asked for again after it was done, or after whoever
 * asked was killed while it was being done; to remove what is not there is no error. An effect for one mesh touches no other.
 *
 * Faults are WeftErrors. `InvalidArgument`, `FailedPrecondition`, `PermissionDenied`, `NotFound` and `ResourceExhausted` are lasting ones; others are tried
 * again.
 */
export interface MeshRuntime {
  /** The versions that it can run, the newest last. */
  readonly versions: readonly string[];
  /** Meshes that it has places for. */
  readonly slots: number;
  /** Revisions of one mesh that it has places for. */
  readonly indexes: number;

  /** Where a mesh's API is, as a URL. */
  apiAddress(place: MeshPlace): string;
  /** Where a revision serves proxies, as HOST:PORT. */
  xdsAddress(place: MeshPlace, revision: RevisionPlace): string;

  /** Makes the key space of a mesh: its store, and the keys of its API and of its Secrets. */
  ensureSpace(place: MeshPlace): Promise<void>;
  /** Removes the key space with all that is in it. */
  removeSpace(place: MeshPlace): Promise<void>;
  /** Has the API of a mesh running, with this quota of objects; returns when it is ready. */
  ensureApi(place: MeshPlace, quotas: MeshQuotas): Promise<void>;
  removeApi(place: MeshPlace): Promise<void>;
  /** Writes the settings into the mesh's own API; those that `before` has and they have not are taken away. */
  applySettings(place: MeshPlace, settings: MeshSettings, before: MeshSettings): Promise<void>;
  /** Has a revision running, with this quota of proxies. It need not be ready. */
  ensureRevision(place: MeshPlace, revision: RevisionPlace, quotas: MeshQuotas): Promise<void>;
  removeRevision(place: MeshPlace, revision: RevisionPlace): Promise<void>;
  /** Whether the revision's process runs, ready or not. */
  runs(place: MeshPlace, revision: RevisionPlace): Promise<boolean>;
  /** Why a revision serves nobody yet; undefined where it is ready. */
  unready(place: MeshPlace, revision: RevisionPlace): Promise<string | undefined>;
  /** Says whom each revision serves. */
  route(place: MeshPlace, routing: Routing): Promise<void>;
  /** How many proxies a revision that runs serves. @throws WeftError `Unavailable` where it does not tell. */
  proxies(place: MeshPlace, revision: RevisionPlace): Promise<number>;
  /**
   * What speaks against moving proxies now, such as some of a revision that refuse what they are sent; empty for nothing.
   * @param from the revision that they are moved from to it; absent where it is the one that they are moved from.
   */
  objections(place: MeshPlace, revision: RevisionPlace, from?: RevisionPlace): Promise<readonly string[]>;
}
