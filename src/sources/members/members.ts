import type { ResourceObject } from "#api/meta.ts";
import {
  type Cluster,
  type ClusterStanding,
  cluster as clusterKind,
  defaultTolerationSeconds,
} from "#api/weft/cluster.ts";
import { cidrsOverlap } from "#base/cidr.ts";
import { messageOf } from "#base/errors.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import type { ServerAddress } from "#kube/connection.ts";
import type { Model } from "#model/model.ts";
import { type Feed, type Source, type SourceContext, follow } from "../feed.ts";
import type { Entry } from "../intake.ts";
import { type Access, kubeconfigKey } from "./access.ts";
import type { NodeCensus } from "./census.ts";
import { followCluster } from "./cluster.ts";
import type { Companion } from "./companion.ts";
import { Member, type FollowState, type Following, type MemberSettings } from "./member.ts";
import { remoteProblems } from "./remote-problems.ts";
import { type RemoteCluster, RemoteSecrets } from "./remote-secrets.ts";
import { NamedSecrets } from "./secrets.ts";

/** What following members needs. */
export interface MembersContext extends SourceContext {
  /** The mesh's API, where the `Cluster` objects and their Secrets are. */
  readonly client: Client;
  readonly model: Model;
  /** The namespace of Istio's remote secrets. */
  readonly namespace: string;
  /** Where members' APIs are, and with what credentials, by name; where their objects say unless told. */
  readonly addresses?: ReadonlyMap<string, ServerAddress>;
  /** Whether objects may name Unix sockets of this machine, where whoever opens them may do everything; they may unless told. */
  readonly sockets?: boolean;
  readonly companion?: Companion;
  /** Whether all proxies hold all that entered the model until now; always, unless told. */
  readonly told?: () => boolean;
  /** Called with the name of a cluster that may stand otherwise. */
  readonly changed?: (name: string) => void;
}

/** The clusters of a mesh, each followed for as long as its `Cluster` object, or a remote secret of Istio's, is there. */
export class Members implements Source {
  readonly synced: Promise<void>;
  readonly done: Promise<void>;
  readonly #context: MembersContext;
  readonly #signal: AbortSignal;
  readonly #objects = new Map<string, Cluster>();
  readonly #members = new Map<string, Member>();
  readonly #named: NamedSecrets;
  readonly #remote: RemoteSecrets;
  readonly #queue: WorkQueue;
  /** What still ends of clusters that have left. */
  readonly #ending = new Set<Promise<void>>();

  constructor(context: MembersContext, signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
    const { client, namespace, clock, logger } = context;
    this.#queue = new WorkQueue({
      clock,
      concurrency: 16,
      work: async (name) => this.#members.get(name)?.look(),
      failed: (name, error) =>
        logger.error("a cluster cannot be looked at", { cluster: name, error: messageOf(error) }),
    });
    this.#named = new NamedSecrets({ client, clock, logger }, (name) => this.#settle(name), signal);
    const settleAll = (names: readonly string[]): void => {
      for (const name of names) {
        this.#settle(name);
        context.changed?.(name);
      }
    };
    this.#remote = new RemoteSecrets({ client, clock, logger }, namespace, settleAll, signal);
    const clusters = follow(client, [this.#feed()], context, signal);
    this.synced = this.#allSettled(Promise.all([clusters.synced, this.#remote.synced]));
    this.done = this.#allDone(Promise.all([clusters.done, this.#remote.done, this.#queue.run(signal)]));
  }

  #feed(): Feed {
    return {
      kind: clusterKind,
      put: (object: ResourceObject) => {
        const { name } = object.metadata;
        this.#objects.set(name, object as unknown as Cluster);
        this.#settle(name);
        this.#context.changed?.(name);
      },
      remove: ({ metadata: { name } }) => {
        this.#objects.delete(name);
        this.#settle(name);
      },
    };
  }

  async #allSettled(known: Promise<unknown>): Promise<void> {
    await known;
    await Promise.all([...this.#members.values()].map(async (member) => member.settled));
  }

  async #allDone(known: Promise<unknown>): Promise<void> {
    await known;
    for (const member of this.#members.values()) member[Symbol.dispose]();
    await Promise.all([...this.#ending, ...[...this.#members.values()].map(async (member) => member.ended)]);
  }

  /** A member's API, or undefined for a cluster that is none, or was never reached. */
  client(name: string): Client | undefined {
    return this.#members.get(name)?.client;
  }

  /** The APIs of all members, by their names. */
  clients(): ReadonlyMap<string, Client> {
    return new Map([...this.#members].flatMap(([name, { client }]) => (client ? [[name, client]] : [])));
  }

  /** Members whose state has not been read yet. */
  unread(): readonly string[] {
    return [...this.#members].filter(([, { synced }]) => !synced).map(([name]) => name);
  }

  /** How a cluster stands; undefined for one that nobody asked to join. */
  standing(name: string): ClusterStanding | undefined {
    return this.#members.get(name)?.standing;
  }

  /** What is wrong with Istio's remote secrets, in words; of a cluster that has a `Cluster` that one's status tells. */
  remoteProblems(): readonly string[] {
    const joined = [...this.#remote.clusters.values()].filter(({ name }) => !this.#objects.has(name));
    return [...this.#remote.refused, ...joined.flatMap((each) => remoteProblems(each, this.standing(each.name)))];
  }

  /** Does what the objects ask for about one cluster. */
  #settle(name: string): void {
    if (this.#signal.aborted) return;
    const object = this.#objects.get(name);
    const remote = this.#remote.clusters.get(name);
    const settings = object ? this.#wanted(object) : remote && remoteSettings(remote);
    const member = this.#members.get(name);
    if (!settings) this.#leave(name, member);
    else if (!member) this.#join(name, settings);
    else {
      const moved = member.settings.network !== settings.network;
      member.configure(settings);
      if (moved) this.#enter(() => this.#context.model.inputs.putCluster(name, settings.network));
    }
  }

  #wanted({ metadata, spec }: Cluster): MemberSettings {
    const { name, creationTimestamp: created } = metadata;
    const { network = "", draining = false, unreachableTolerationSeconds: seconds = defaultTolerationSeconds } = spec;
    return { access: this.#access(name, spec), created, network, draining, tolerationMs: seconds * 1000 };
  }

  #access(name: string, { server, kubeconfigSecret }: Cluster["spec"]): Access {
    const { addresses, sockets = true } = this.#context;
    const told = addresses?.get(name);
    if (!told && !sockets && server?.startsWith("unix:") === true) {
      const message = "spec.server must not be a Unix socket here: use https://, or spec.kubeconfigSecret";
      return { kind: "none", reason: "NoServer", message };
    }
    const address = told ?? (server === undefined ? undefined : { url: server });
    if (kubeconfigSecret === undefined || address) this.#named.forget(name);
    if (address) return { kind: "address", address };
    if (kubeconfigSecret) return this.#named.access(name, { key: kubeconfigKey, ...kubeconfigSecret });
    const message = "nothing says how it is reached: set spec.kubeconfigSecret, or spec.server";
    return { kind: "none", reason: "NoServer", message };
  }

  #join(name: string, settings: MemberSettings): void {
    const { clock, logger, model, told = () => true, changed } = this.#context;
    const member: Member = new Member(name, settings, {
      clock,
      logger,
      told,
      follow: (client, census, state, signal) => this.#follow(member, client, census, state, signal),
      forget: () => this.#forget(name),
      twin: (uid) => this.#twin(member, uid),
      overlaps: () => this.#overlaps(member),
      drain: (drained) => this.#enter(() => model.inputs.setDrained(name, drained)),
      wake: () => this.#queue.add(name),
      changed: () => changed?.(name),
    });
    this.#members.set(name, member);
    this.#enter(() => model.inputs.putCluster(name, settings.network));
    this.#queue.add(name);
  }

  #follow(member: Member, client: Client, census: NodeCensus, state: FollowState, signal: AbortSignal): Following {
    const { name } = member;
    const { companion, model, intake, clock, logger } = this.#context;
    const { inputs } = model;
    const begin: Entry = {
      enter: () => {
        const drained = model.tables.drained.get(name) === true;
        inputs.removeCluster(name);
        inputs.putCluster(name, member.settings.network);
        inputs.setDrained(name, drained);
      },
      entered: () => companion?.left(name),
    };
    const until = AbortSignal.any([this.#signal, signal]);
    const audience = companion?.audience(name);
    const context = { name, model, intake, clock, logger, census, state, begin, ...(audience && { audience }) };
    const source = followCluster(client, context, until);
    const done = Promise.all([source.done, companion?.follow(name, client, until)]).then(() => undefined);
    return { synced: source.synced, done };
  }

  #leave(name: string, member: Member | undefined): void {
    this.#named.forget(name);
    if (!member) return;
    this.#members.delete(name);
    member[Symbol.dispose]();
    const ended = member.ended.then(() => void this.#ending.delete(ended));
    this.#ending.add(ended);
    this.#forget(name);
    this.#context.logger.info("a cluster has left", { cluster: name });
  }

  #forget(name: string): void {
    this.#enter(() => this.#context.model.inputs.removeCluster(name));
    this.#context.companion?.left(name);
  }

  /** In one with what else enters the model, and in order. */
  #enter(enter: () => void): void {
    this.#context.intake.add({ enter, entered: () => undefined });
  }

  #twin(member: Member, uid: string): string | undefined {
    const twins = [...this.#members.values()].filter((each) => each.uid === uid);
    const [first] = twins.toSorted(byAge);
    return first === undefined || first === member ? undefined : first.name;
  }

  #overlaps(member: Member): readonly string[] {
    const others = [...this.#members.values()].filter(
      (each) => each !== member && each.settings.network === member.settings.network,
    );
    return others.flatMap(({ name, podRanges }) => {
      const common = podRanges.filter((range) => member.podRanges.some((own) => cidrsOverlap(own, range)));
      return common.length === 0 ? [] : [`${name} (${common.slice(0, 3).join(", ")})`];
    });
  }
}

function byAge(a: Member, b: Member): number {
  if (a.settings.created !== b.settings.created) return a.settings.created < b.settings.created ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

function remoteSettings({ access, created }: RemoteCluster): MemberSettings {
  return { access, created, network: "", draining: false, tolerationMs: defaultTolerationSeconds * 1000 };
}
