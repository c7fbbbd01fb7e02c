import type { Kind } from "#api/kind.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { type FindDefinition, definitionName, findDefinition } from "./definition.ts";
import { DriftList } from "./drift.ts";
import { KeptVersions } from "./kept.ts";
import { KindSync } from "./kind-sync.ts";
import { SideObjects, objectKey, partsOf } from "./objects.ts";
import { Places } from "./places.ts";
import { SyncState } from "./state.ts";

/** What keeping one member and the mesh the same needs. */
export interface MemberSyncOptions {
  readonly member: string;
  /** The mesh's API, and the namespace in which what must be remembered is kept there. */
  readonly mesh: Client;
  readonly namespace: string;
  /** The mesh's objects, which all members share, by the names of their definitions. */
  readonly objects: ReadonlyMap<string, SideObjects>;
  /** The member's API. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asks for the member's definitions; those of its API unless told. */
  readonly findDefinition?: FindDefinition;
  /** Versions that are kept of conflicts; 500 unless told. */
  readonly mostKept?: number;
}

/** Objects that are worked on at once. */
const concurrency = 16;
/** Milliseconds after failures of an object: what is refused is refused until somebody changes it. */
const backoff = { initialMs: 100, maxMs: 60_000 };
/** Milliseconds between looks for definitions that are not there. */
const definitionMs = 5_000;

/**
 * Keeps the mesh's objects and those of one member, which has definitions and objects of its own, the same both ways. What both last agreed on
 * is remembered, so that what one side has and the other has not is known to be new or deleted.
 */
export class MemberSync {
  readonly #options: MemberSyncOptions;
  readonly #state: SyncState;
  readonly #drift: DriftList;
  readonly #kept: KeptVersions;
  readonly #places: Places;
  readonly #kinds = new Map<string, KindSync>();
  readonly #sides = new Map<string, { readonly mesh: SideObjects; readonly member: SideObjects }>();
  readonly #queue: WorkQueue;

  private constructor(options: MemberSyncOptions, state: SyncState) {
    this.#options = options;
    this.#state = state;
    const { member, mesh, namespace, client, clock, logger, mostKept } = options;
    const place = { client: mesh, namespace, member };
    this.#drift = new DriftList(place, { clock, logger });
    this.#kept = new KeptVersions({ ...place, ...(mostKept !== undefined && { most: mostKept }) });
    this.#places = new Places(client, state, { clock, logger });
    this.#queue = new WorkQueue({
      clock,
      concurrency,
      backoff,
      work: async (key) => this.#work(key),
      failed: (key, error) => this.#failed(key, error),
    });
  }

  /** Reads what is remembered of a member, and keeps it the same until the signal aborts. */
  static async run(options: MemberSyncOptions, signal: AbortSignal): Promise<void> {
    const { mesh: client, namespace, member } = options;
    const sync = new MemberSync(options, await SyncState.open({ client, namespace, member }));
    await sync.#run(signal);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { objects, logger } = this.#options;
    const failed = (error: unknown): void => logger.warn("a namespace was not noted", { error: messageOf(error) });
    await Promise.all([
      this.#places.run((namespace) => this.#addAll(namespace), failed, signal),
      this.#drift.run(signal),
      this.#queue.run(signal),
      this.#store(signal),
      ...[...objects.values()].map(async (of) => this.#runKind(of, signal)),
    ]);
  }

  /** Follows a kind once the member has a definition of it. */
  async #runKind(meshObjects: SideObjects, signal: AbortSignal): Promise<void> {
    const { client, clock, logger, mesh, findDefinition: find = findDefinition } = this.#options;
    const { kind } = meshObjects;
    const definition = definitionName(kind);
    const version = await this.#definitionOf(kind, find, signal);
    if (version === undefined) return;
    const memberObjects = new SideObjects({ client, kind, version, clock, logger });
    const running = memberObjects.run(signal);
    const ended = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([Promise.all([meshObjects.synced, memberObjects.synced, this.#places.synced]), ended]);
    if (signal.aborted) return running;
    const objects = { mesh: meshObjects, member: memberObjects };
    const parts = { places: this.#places, state: this.#state, kept: this.#kept, drift: this.#drift };
    const apis = { mesh, member: client };
    const sync = new KindSync({ apis, objects, ...parts, findDefinition: find, now: () => clock.now() });
    this.#kinds.set(definition, sync);
    this.#sides.set(definition, objects);
    const changed = (name: { readonly namespace?: string; readonly name: string }): void =>
      this.#queue.add(objectKey(kind, name));
    using _mesh = meshObjects.onChange(changed);
    using _member = memberObjects.onChange(changed);
    // What neither side has any more may have been agreed on.
    for (const key of this.#state.all.keys()) if (partsOf(key).definition === definition) this.#queue.add(key);
    await Promise.all([running, this.#awaitDefinition(definition, sync, signal)]);
  }

  /** Waits until the member has a definition of a kind. @returns the version to ask for; undefined when the signal aborted. */
  async #definitionOf(kind: Kind, find: FindDefinition, signal: AbortSignal): Promise<string | undefined> {
    const { client, clock } = this.#options;
    const name = definitionName(kind);
    while (!signal.aborted) {
      try {
        const definition = await find(client, kind);
        if (definition) {
          await this.#places.defined(name, definition.uid);
          this.#drift.alike(name);
          return definition.version;
        }
        this.#undefinedKind(name);
      } catch (error) {
        if (!signal.aborted) this.#drift.differs(name, "Away", messageOf(error));
      }
      await clock.sleep(definitionMs, signal).catch(() => undefined);
    }
    return undefined;
  }

  #undefinedKind(name: string): void {
    const message = `the member has no CustomResourceDefinition ${name} that stands and serves a version of the mesh's: objects of the kind are not kept the same`;
    this.#drift.differs(name, "NoDefinition", message);
  }

  /** Looks whether a definition that went away is back. */
  async #awaitDefinition(name: string, sync: KindSync, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let away = false;
    while (!signal.aborted) {
      await clock.sleep(definitionMs, signal).catch(() => undefined);
      const before = away;
      away = await sync.isUndefined().catch(() => away);
      if (away) this.#undefinedKind(name);
      else if (before) {
        this.#drift.alike(name);
        this.#addAll(undefined, name);
      }
    }
  }

  /** Stores, once in a while, what was agreed on and is not stored by what came after. */
  async #store(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(definitionMs, signal).catch(() => undefined);
      await this.#state.flush().catch((error: unknown) => {
        logger.warn("what was agreed on with a member is not stored", { error: messageOf(error) });
      });
    }
  }

  #addAll(namespace: string | undefined, definition?: string): void {
    for (const [name, { mesh, member }] of this.#sides) {
      if (definition !== undefined && definition !== name) continue;
      for (const side of [mesh, member])
        for (const object of side.names(namespace)) this.#queue.add(objectKey(mesh.kind, object));
    }
  }

  async #work(key: string): Promise<number | undefined> {
    const { definition, namespace, name } = partsOf(key);
    return this.#kinds.get(definition)?.bring({ namespace, name });
  }

  #failed(key: string, error: unknown): void {
    const { definition, namespace, name } = partsOf(key);
    this.#kinds.get(definition)?.failed({ namespace, name }, error);
    const level = codeOf(error) === "Conflict" || codeOf(error) === "Unavailable" ? "debug" : "warn";
    this.#options.logger[level]("an object is not the same in the mesh and a member", {
      object: key,
      error: messageOf(error),
    });
  }
}
