import type { ResourceObject } from "#api/meta.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { messageOf } from "#base/errors.ts";
import { Client } from "#kube/client.ts";
import { Connection, type ServerAddress } from "#kube/connection.ts";
import type { Model } from "#model/model.ts";
import { followCluster } from "./cluster.ts";
import { type Audience, type Feed, type Source, type SourceContext, follow } from "./feed.ts";

/** What is done with members beside the model. */
export interface Companion {
  /** Who is told of a member's objects. */
  audience(cluster: string): Audience;
  /** Goes on for as long as the cluster is a member. */
  follow(cluster: string, client: Client, signal: AbortSignal): Promise<void>;
  /** The cluster is none any more. */
  left(cluster: string): void;
}

/** What following members needs. */
export interface MembersContext extends SourceContext {
  /** Where members' APIs are, and with what credentials, by name; where their objects say and without any unless told. */
  readonly addresses?: ReadonlyMap<string, ServerAddress>;
  readonly companion?: Companion;
}

interface Member {
  readonly specification: Cluster["spec"];
  readonly client: Client;
  readonly end: AbortController;
  readonly synced: Promise<void>;
  readonly done: Promise<void>;
}

/** The clusters of a mesh, each followed for as long as its `Cluster` object exists. */
export class Members implements Source {
  readonly synced: Promise<void>;
  readonly done: Promise<void>;
  readonly #members = new Map<string, Member>();
  /** Clusters of which nothing was read yet. */
  readonly #unread = new Set<string>();
  readonly #model: Model;
  readonly #context: MembersContext;
  readonly #signal: AbortSignal;
  readonly #joined: (name: string) => void;

  /**
   * @param client the mesh's API, where the `Cluster` objects are.
   * @param joined called with the name of each cluster whose object is new or was changed.
   */
  constructor(
    client: Client,
    model: Model,
    context: MembersContext,
    joined: (name: string) => void,
    signal: AbortSignal,
  ) {
    this.#model = model;
    this.#context = context;
    this.#signal = signal;
    this.#joined = joined;
    const feed: Feed = {
      kind: clusterKind,
      put: (object) => this.#join(object),
      remove: (object) => this.#leave(object.metadata.name),
    };
    const clusters = follow(client, [feed], context, signal);
    this.synced = this.#allSynced(clusters.synced);
    this.done = this.#allDone(clusters.done);
  }

  async #allSynced(clusters: Promise<void>): Promise<void> {
    await clusters;
    await Promise.all([...this.#members.values()].map(async (member) => member.synced));
  }

  async #allDone(clusters: Promise<void>): Promise<void> {
    await clusters;
    await Promise.all([...this.#members.values()].map(async (member) => member.done));
  }

  /** A member's API, or undefined for a cluster that is none. */
  client(name: string): Client | undefined {
    return this.#members.get(name)?.client;
  }

  /** The APIs of all members, by their names. */
  clients(): ReadonlyMap<string, Client> {
    return new Map([...this.#members].map(([name, { client }]) => [name, client]));
  }

  /** Members whose state has not been read yet. */
  unread(): readonly string[] {
    return [...this.#unread];
  }

  #join(object: ResourceObject): void {
    const { metadata, spec } = object as unknown as Cluster;
    const { name } = metadata;
    const known = this.#members.get(name);
    if (known?.specification.server === spec.server && known?.specification.network === spec.network) return;
    this.#leave(name);
    if (this.#signal.aborted) return;
    this.#joined(name);
    const { logger, clock } = this.#context;
    if (spec.server === undefined) {
      logger.warn("this cluster has no server and cannot be followed yet", { cluster: name });
      return;
    }
    this.#unread.add(name);
    try {
      const address = this.#context.addresses?.get(name) ?? { url: spec.server };
      const client = new Client(new Connection(address, { clock }));
      const end = new AbortController();
      const signal = AbortSignal.any([this.#signal, end.signal]);
      const { companion, addresses: _, ...context } = this.#context;
      const audience = companion?.audience(name);
      const told = { ...context, ...(audience && { audience }) };
      const source = followCluster({ name, network: spec.network ?? "" }, client, this.#model, told, signal);
      const done = Promise.all([source.done, companion?.follow(name, client, signal)]).then(() => undefined);
      this.#members.set(name, { specification: spec, client, end, synced: source.synced, done });
      void source.synced.then(() => this.#members.get(name)?.client === client && this.#unread.delete(name));
      logger.info("following a cluster", { cluster: name, server: address.url });
    } catch (error) {
      logger.warn("this cluster cannot be followed", { cluster: name, error: messageOf(error) });
    }
  }

  #leave(name: string): void {
    this.#unread.delete(name);
    const member = this.#members.get(name);
    if (!member) return;
    this.#members.delete(name);
    member.end.abort();
    this.#model.inputs.removeCluster(name);
    this.#context.companion?.left(name);
    member.client.connection[Symbol.dispose]();
    this.#context.logger.info("a cluster has left", { cluster: name });
  }
}
