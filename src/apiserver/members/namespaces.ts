import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Partition, ResourceStore } from "#store/port.ts";
import type { Member, NamespaceHolder, NamespaceState } from "./member.ts";

/** Milliseconds for which a namespace that is in use counts as that without another question. */
const keptMs = 2_000;

/** Namespaces that are remembered; beyond, all are asked for again. */
const most = 10_000;

/** What knows which cluster has which namespace. */
export interface NamespacesOptions {
  readonly store: ResourceStore;
  /** The partition of the mesh's own namespaces. */
  readonly partition: Partition;
  /** All clusters of the mesh, of which only some may be members that are served here; none but those unless told. */
  readonly clusters?: () => Promise<readonly NamespaceHolder[]>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Who of the mesh has a namespace. Objects of the mesh are in a namespace that several clusters and the mesh itself may have, and go
 * with the last of them.
 */
export class MeshNamespaces {
  readonly #options: NamespacesOptions;
  readonly #members = new Map<string, Member>();
  /** When namespaces of members were last seen in use, on the monotonic clock. */
  readonly #active = new Map<string, number>();

  constructor(options: NamespacesOptions) {
    this.#options = options;
  }

  /** Takes in a member, until disposed of. */
  add(member: Member): Disposable {
    this.#members.set(member.name, member);
    return {
      [Symbol.dispose]: () => {
        if (this.#members.get(member.name) === member) this.#members.delete(member.name);
      },
    };
  }

  /** How a cluster has a namespace now. @throws WeftError `Unavailable`. */
  async now(member: NamespaceHolder, name: string): Promise<NamespaceState> {
    const key = `${member.name}/${name}`;
    this.#active.delete(key);
    const state = await member.namespace(name);
    if (this.#active.size >= most) this.#active.clear();
    if (state === "active") this.#active.set(key, this.#options.clock.monotonic());
    return state;
  }

  /** How a member has a namespace, or had it a moment ago. @throws WeftError `Unavailable`. */
  async lately(member: Member, name: string): Promise<NamespaceState> {
    const seen = this.#active.get(`${member.name}/${name}`);
    const fresh = seen !== undefined && this.#options.clock.monotonic() - seen < keptMs;
    return fresh ? "active" : this.now(member, name);
  }

  /**
   * Whether anybody else keeps a namespace: another cluster that has it and is not deleting it, or the mesh itself. While a cluster that
   * may have it cannot be asked that is unknown, unless somebody else does.
   * @param except the cluster that does not count; undefined for the mesh itself, which counts only while it is not deleting it.
   */
  async keptBeside(except: string | undefined, name: string): Promise<"kept" | "left" | "unknown"> {
    const { store, partition } = this.#options;
    const own = await store.get({ partition, resource: "namespaces", namespace: "", name });
    if (own !== undefined && own.object.metadata.deletionTimestamp === undefined) return "kept";
    const { clusters, all } = await this.#clusters();
    const others = clusters.filter((cluster) => cluster.name !== except);
    const states = await Promise.all(others.map((cluster) => this.#asked(cluster, name)));
    if (states.includes("active")) return "kept";
    return !all || states.includes("unknown") ? "unknown" : "left";
  }

  /** The clusters that are known, and whether those are all. */
  async #clusters(): Promise<{ readonly clusters: readonly NamespaceHolder[]; readonly all: boolean }> {
    const served = [...this.#members.values()];
    try {
      const joined = (await this.#options.clusters?.()) ?? [];
      return { clusters: [...served, ...joined.filter(({ name }) => !this.#members.has(name))], all: true };
    } catch (error) {
      this.#options.logger.warn("it cannot be read which clusters the mesh has", { error: messageOf(error) });
      return { clusters: served, all: false };
    }
  }

  async #asked(member: NamespaceHolder, name: string): Promise<NamespaceState | "unknown"> {
    try {
      return await this.now(member, name);
    } catch (error) {
      const fields = { cluster: member.name, namespace: name, error: messageOf(error) };
      this.#options.logger.info("a cluster cannot be asked for a namespace; what is in it stays", fields);
      return "unknown";
    }
  }
}
