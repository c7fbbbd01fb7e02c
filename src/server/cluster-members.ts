import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { equal } from "#base/canonical.ts";
import type { Client } from "#kube/client.ts";
import type { ServerAddress } from "#kube/connection.ts";
import { Informer } from "#kube/informer.ts";
import { type Access, kubeconfigKey } from "#sources/members/access.ts";
import { NamedSecrets } from "#sources/members/secrets.ts";
import { serveMember, type ServingContext } from "./members.ts";

/** How the members that the mesh's objects name are served. */
export interface ClusterMembersOptions extends ServingContext {
  /** The mesh's own API. */
  readonly mesh: Client;
  /** Members that are served already, by what the server was told. */
  readonly except: ReadonlySet<string>;
}

/** A member that is served. */
interface Served {
  readonly address: ServerAddress;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Serves the mesh's objects to each cluster whose `Cluster` asks for that, for as long as it does. */
export class ClusterMembers {
  readonly #options: ClusterMembersOptions;
  readonly #signal: AbortSignal;
  readonly #clusters: Informer<Cluster>;
  readonly #secrets: NamedSecrets;
  readonly #served = new Map<string, Served>();
  /** What still ends. */
  readonly #ending = new Set<Promise<void>>();

  constructor(options: ClusterMembersOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    const { mesh: client, clock, logger } = options;
    this.#clusters = new Informer({ client: client.of<Cluster>(clusterKind), clock, logger });
    this.#secrets = new NamedSecrets({ client, clock, logger }, (name) => this.#settle(name), signal);
  }

  /** Follows the clusters until the signal aborts. */
  async run(): Promise<void> {
    using _following = this.#clusters.onChange(({ before, after }) => {
      const changed = after ?? before;
      if (changed) this.#settle(changed.metadata.name);
    });
    await this.#clusters.run(this.#signal);
    for (const name of this.#served.keys()) this.#stop(name);
    await Promise.all(this.#ending);
  }

  #settle(name: string): void {
    if (this.#signal.aborted || this.#options.except.has(name)) return;
    const object = this.#clusters.get({ name });
    const access = object?.spec.istioObjects === "Aggregated" ? this.#access(name, object.spec) : undefined;
    const served = this.#served.get(name);
    // What cannot be read now may be replaced at this moment: the credentials before are good until the API refuses them.
    if (served && access && (access.kind !== "address" || equal(access.address, served.address))) return;
    if (access === undefined) this.#secrets.forget(name);
    if (served) this.#stop(name);
    if (access?.kind === "address") this.#serve(name, access.address);
    else if (access?.kind === "none") {
      this.#options.logger.warn("a cluster is not served the mesh's objects", { cluster: name, why: access.message });
    }
  }

  #access(name: string, { server, kubeconfigSecret }: Cluster["spec"]): Access {
    if (kubeconfigSecret) return this.#secrets.access(name, { key: kubeconfigKey, ...kubeconfigSecret });
    if (server !== undefined) return { kind: "address", address: { url: server } };
    return { kind: "none", reason: "NoServer", message: "set spec.kubeconfigSecret, or spec.server" };
  }

  #serve(name: string, address: ServerAddress): void {
    const stop = new AbortController();
    const signal = AbortSignal.any([this.#signal, stop.signal]);
    this.#options.logger.info("a cluster is served the mesh's objects", { cluster: name });
    this.#served.set(name, { address, stop, done: serveMember({ name, server: address }, this.#options, signal) });
  }

  #stop(name: string): void {
    const served = this.#served.get(name);
    if (!served) return;
    this.#served.delete(name);
    served.stop.abort();
    const ended = served.done.then(() => void this.#ending.delete(ended));
    this.#ending.add(ended);
  }
}
